//! Who gets in: applicants, judged one after the other by what was read for all of them.
//!
//! Nothing here reads or writes. What those before changed counts for those after; `intake` writes it down in the end.

use std::collections::{BTreeMap, BTreeSet};

use federation::audit::Deed;
use federation::secret::same;
use federation::{Answer, Digest, Enrolment, NodeId, Refusal, RefusalCode, Timestamp, limits};

use super::applicants::Wish;
use super::audit;
use super::enrolment::EnrolmentToken;
use super::nodes::{Node, Turns};
use super::row::stored;

/// By what a node gets in.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// By nothing: no tokens are wanted.
    Open,
    /// By its credential, where it is one of the node that has the key; or by an enrolment token: its number, the digest
    /// of its secret, and that of the credential which the node will show. The proof is signed.
    Guarded {
        /// The credential that was shown: whose it says it is, and its digest.
        shown: Option<(NodeId, Digest)>,
        /// The proof.
        proof: Option<(u64, Digest, Digest)>,
    },
}

/// What applicants are judged by, as those before them left it, and what is to be written.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// Nodes that enrolled before, by key.
    pub(super) known: BTreeMap<[u8; 32], Node>,
    /// Names that somebody holds.
    pub(super) names: BTreeSet<NodeId>,
    /// Enrolment tokens, by number.
    pub(super) tokens: BTreeMap<u64, EnrolmentToken>,
    /// How many nodes which token let in since.
    pub(super) used: BTreeMap<u64, u32>,
    /// What the audit log is to tell, in order.
    pub(super) deeds: Vec<Deed>,
}

/// What a node gets.
#[derive(Debug, Default)]
struct Granted {
    token: Option<u64>,
    /// Whether it is a use of the token: once for each node.
    used: bool,
    /// Given anew: what the node will show.
    credential: Option<Digest>,
    labels: BTreeMap<String, String>,
}

impl Register {
    /// Judges the next applicant: the node as it is from now on, or why it does not get in. The same key again is the same
    /// node, whatever name it asks for; its labels and learners are refreshed.
    pub(super) fn judge(&mut self, wish: &Wish) -> Answer<Node> {
        let Wish { enrolment, entry, now } = wish;
        let Enrolment { public_key, node, labels, learners, proof: _ } = enrolment;
        let known = self.known.get(public_key).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.revoked_ms.is_some()) {
            return Err(crate::core::revoked(&known.id));
        }
        if known.is_none() && self.names.contains(node) {
            let expected = "a name that no other node holds";
            return Err(Refusal::new(RefusalCode::NameTaken, "node_id", expected, node));
        }
        let granted = self.grant(known.as_ref(), entry, *now)?;
        let mut labels = labels.clone();
        labels.extend(granted.labels);
        if labels.len() > limits::LABELS_MAX {
            let expected = format!("at most {}, those of the token included", limits::LABELS_MAX);
            let (code, got) = (RefusalCode::LabelsTooMany, labels.len());
            return Err(Refusal::new(code, "labels", expected, got));
        }
        if let Some(id) = granted.token.filter(|_| granted.used) {
            self.count_use(id);
        }
        let now_ms = stored(now.0);
        let first = known.is_none();
        let before = known.unwrap_or_else(|| Node {
            id: node.clone(),
            public_key: *public_key,
            labels: BTreeMap::new(),
            learners: Vec::new(),
            enrolled_ms: now_ms,
            seen_ms: now_ms,
            turns: Turns::default(),
            credential: None,
            enrolment_token: None,
            revoked_ms: None,
        });
        let node = Node {
            labels,
            learners: learners.clone(),
            seen_ms: before.seen_ms.max(now_ms),
            credential: granted.credential.or(before.credential),
            enrolment_token: granted.token.or(before.enrolment_token),
            ..before
        };
        if first {
            self.names.insert(node.id.clone());
            self.deeds.push(audit::node_enrolled(&node, *now));
        } else if node.credential != before.credential {
            self.deeds.push(audit::credential_replaced(&node.id, granted.token, *now));
        }
        self.known.insert(*public_key, node.clone());
        Ok(node)
    }

    /// A token has let in one node more.
    fn count_use(&mut self, id: u64) {
        if let Some(token) = self.tokens.get_mut(&id) {
            token.uses += 1;
        }
        *self.used.entry(id).or_default() += 1;
    }

    /// What a node gets by `entry`, or why it does not get in.
    fn grant(&self, known: Option<&Node>, entry: &Entry, now: Timestamp) -> Answer<Granted> {
        let proof = match entry {
            Entry::Guarded { shown, proof } if !showed(known, shown.as_ref()) => proof,
            // It keeps the labels of the token that let it in once.
            Entry::Open | Entry::Guarded { .. } => return Ok(self.kept(known)),
        };
        let refuse =
            |code, expected: &str, got: &str| Err(Refusal::new(code, "proof.token", expected, got));
        let Some((id, hash, credential)) = *proof else {
            let (code, expected) = (RefusalCode::EnrolmentTokenMissing, "an enrolment token");
            return refuse(code, expected, "neither one nor the credential of this node");
        };
        let token = self.tokens.get(&id).filter(|token| same(&token.hash, &hash));
        let Some(token) = token else {
            let expected = "a token that this coordinator gave out";
            return refuse(RefusalCode::EnrolmentTokenUnknown, expected, "another");
        };
        let holds = "a token that holds";
        if token.revoked_ms.is_some() {
            return refuse(RefusalCode::EnrolmentTokenRevoked, holds, "one that was revoked");
        }
        if token.expires_ms.is_some_and(|expires_ms| expires_ms <= now.0) {
            return refuse(RefusalCode::EnrolmentTokenExpired, holds, "one whose time is over");
        }
        let used = known.and_then(|known| known.enrolment_token) != Some(id);
        if used && token.uses >= token.uses_max {
            let got = format!("one that let in {} nodes, as many as it may", token.uses);
            let expected = "a token with uses left";
            return refuse(RefusalCode::EnrolmentTokenExhausted, expected, &got);
        }
        let labels = token.labels.clone();
        Ok(Granted { token: Some(id), used, credential: Some(credential), labels })
    }

    /// What a node has that is known already.
    fn kept(&self, known: Option<&Node>) -> Granted {
        let token = known.and_then(|known| known.enrolment_token);
        let labels = token.and_then(|id| self.tokens.get(&id)).map(|token| token.labels.clone());
        Granted { token, labels: labels.unwrap_or_default(), ..Granted::default() }
    }
}

/// Whether what was shown is this node's credential.
fn showed(known: Option<&Node>, shown: Option<&(NodeId, Digest)>) -> bool {
    known.zip(shown).is_some_and(|(known, (node, hash))| {
        known.id == *node && known.credential.is_some_and(|credential| same(&credential, hash))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::enrolment;

    const SECRET: Digest = Digest([1; 32]);

    fn token(id: u64, uses_max: u32) -> EnrolmentToken {
        EnrolmentToken {
            id,
            name: "line".parse().unwrap(),
            hash: SECRET,
            labels: BTreeMap::from([("site".to_owned(), format!("s{id}"))]),
            uses_max,
            uses: 0,
            created_ms: 0,
            expires_ms: None,
            revoked_ms: None,
        }
    }

    fn register(tokens: impl IntoIterator<Item = EnrolmentToken>) -> Register {
        let tokens = tokens.into_iter().map(|token| (token.id, token)).collect();
        Register { tokens, ..Register::default() }
    }

    fn open(name: &str, at_ms: u64) -> Wish {
        Wish { enrolment: enrolment(name), entry: Entry::Open, now: Timestamp(at_ms) }
    }

    fn by_token(name: &str, token: u64, credential: u8) -> Wish {
        let proof = Some((token, SECRET, Digest([credential; 32])));
        Wish { entry: Entry::Guarded { shown: None, proof }, ..open(name, 1) }
    }

    fn showing(name: &str, shown: &str, credential: u8) -> Wish {
        let shown = Some((shown.parse().unwrap(), Digest([credential; 32])));
        Wish { entry: Entry::Guarded { shown, proof: None }, ..open(name, 1) }
    }

    fn refused(answer: Answer<Node>) -> RefusalCode {
        answer.unwrap_err().code
    }

    fn told(register: &Register) -> Vec<(&str, &str)> {
        let deeds = register.deeds.iter();
        deeds.map(|deed| (deed.action.as_str(), deed.subject.as_str())).collect()
    }

    #[test]
    fn a_key_is_one_node_and_a_name_is_one_key_in_one_group_too() {
        let mut register = register([]);
        let first = register.judge(&open("a", 1_000)).unwrap();
        assert_eq!((first.enrolled_ms, first.seen_ms), (1_000, 1_000));
        let mut renamed = open("a", 2_000);
        renamed.enrolment.node = "b".parse().unwrap();
        renamed.enrolment.labels.insert("site".to_owned(), "ams".to_owned());
        let again = register.judge(&renamed).unwrap();
        assert_eq!((&again.id, again.enrolled_ms, again.seen_ms), (&first.id, 1_000, 2_000));
        assert_eq!(again.labels.len(), 2, "labels are refreshed");
        assert_eq!(register.judge(&open("a", 500)).unwrap().seen_ms, 2_000, "a clock set back");
        let mut thief = open("c", 1);
        thief.enrolment.node = "a".parse().unwrap();
        let refusal = register.judge(&thief).unwrap_err();
        assert_eq!((refusal.code, refusal.got.as_str()), (RefusalCode::NameTaken, "a"));
        thief.enrolment.node = "b".parse().unwrap();
        register.judge(&thief).expect("a name that a known node asked for in vain is free");
        assert_eq!(told(&register), [("node.enrolled", "a"), ("node.enrolled", "b")]);
    }

    #[test]
    fn a_token_is_used_once_for_each_node_until_it_is_used_up() {
        let mut register = register([token(7, 2), token(8, 9)]);
        for name in ["a", "b", "a", "b"] {
            let node = register.judge(&by_token(name, 7, 1)).unwrap();
            assert_eq!((node.enrolment_token, &node.labels["site"]), (Some(7), &"s7".to_owned()));
        }
        let refusal = register.judge(&by_token("c", 7, 1)).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::EnrolmentTokenExhausted);
        assert_eq!(refusal.got, "one that let in 2 nodes, as many as it may");
        // Another token's labels are the node's from now on, and coming back by the first is a use of it.
        assert_eq!(register.judge(&by_token("a", 8, 1)).unwrap().labels["site"], "s8");
        let back = refused(register.judge(&by_token("a", 7, 1)));
        assert_eq!(back, RefusalCode::EnrolmentTokenExhausted);
        assert_eq!(register.judge(&open("a", 1)).unwrap().labels["site"], "s8", "they are kept");
        assert_eq!(register.used, BTreeMap::from([(7, 2), (8, 1)]));
    }

    #[test]
    fn a_token_lets_in_whoever_knows_its_secret_while_it_holds() {
        let expired = EnrolmentToken { expires_ms: Some(1), ..token(2, 9) };
        let revoked = EnrolmentToken { revoked_ms: Some(1), ..expired.clone() };
        let mut register = register([token(1, 9), expired, EnrolmentToken { id: 3, ..revoked }]);
        use RefusalCode::{EnrolmentTokenExpired, EnrolmentTokenRevoked, EnrolmentTokenUnknown};
        let tried =
            [(2, EnrolmentTokenExpired), (3, EnrolmentTokenRevoked), (4, EnrolmentTokenUnknown)];
        for (token, code) in tried {
            assert_eq!(refused(register.judge(&by_token("a", token, 1))), code);
        }
        let mut guess = by_token("a", 1, 1);
        guess.entry = Entry::Guarded { shown: None, proof: Some((1, Digest([2; 32]), SECRET)) };
        assert_eq!(refused(register.judge(&guess)), EnrolmentTokenUnknown);
        let before = Wish { now: Timestamp(0), ..by_token("a", 2, 1) };
        assert!(register.judge(&before).is_ok(), "its time is not over yet");
    }

    #[test]
    fn a_credential_counts_for_its_node_alone_until_another_takes_its_place() {
        let mut register = register([token(1, 9)]);
        let missing = RefusalCode::EnrolmentTokenMissing;
        assert_eq!(refused(register.judge(&showing("a", "a", 1))), missing, "nobody yet");
        for name in ["a", "b"] {
            register.judge(&by_token(name, 1, 1)).unwrap();
        }
        let kept = register.judge(&showing("a", "a", 1)).unwrap();
        assert_eq!((kept.credential, kept.enrolment_token), (Some(Digest([1; 32])), Some(1)));
        assert_eq!(kept.labels["site"], "s1");
        assert_eq!(refused(register.judge(&showing("a", "b", 1))), missing, "of another node");
        assert_eq!(refused(register.judge(&showing("a", "a", 2))), missing, "another secret");
        register.judge(&by_token("a", 1, 1)).expect("the same again is no other");
        register.judge(&by_token("a", 1, 2)).unwrap();
        assert_eq!(refused(register.judge(&showing("a", "a", 1))), missing, "the old one");
        assert!(register.judge(&showing("a", "a", 2)).is_ok());
        let replaced = ("node.credential_replaced", "a");
        assert_eq!(told(&register), [("node.enrolled", "a"), ("node.enrolled", "b"), replaced]);
    }

    #[test]
    fn a_revoked_node_is_refused_by_its_own_name_before_all_else() {
        let mut register = register([]);
        let node = register.judge(&open("a", 1)).unwrap();
        register.known.insert(node.public_key, Node { revoked_ms: Some(1), ..node });
        let mut renamed = open("a", 1);
        renamed.enrolment.node = "b".parse().unwrap();
        let refusal = register.judge(&renamed).unwrap_err();
        assert_eq!((refusal.code, refusal.got.as_str()), (RefusalCode::NodeRevoked, "a"));
    }

    #[test]
    fn a_node_has_no_more_labels_than_fit_with_those_of_its_token() {
        let mut register = register([token(1, 9)]);
        let mut wish = by_token("a", 1, 1);
        let more = (1..limits::LABELS_MAX).map(|i| (format!("l{i}"), "x".to_owned()));
        wish.enrolment.labels.extend(more);
        let refusal = register.judge(&wish).unwrap_err();
        assert_eq!((refusal.code, refusal.got.as_str()), (RefusalCode::LabelsTooMany, "33"));
        assert!(register.used.is_empty(), "what was refused uses nothing up");
        wish.enrolment.labels.remove("task");
        assert_eq!(register.judge(&wish).unwrap().labels.len(), limits::LABELS_MAX);
        assert_eq!(told(&register), [("node.enrolled", "a")]);
    }
}
