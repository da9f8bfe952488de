//! The audit log: who did what, each entry chained to the one before it by a hash.
//!
//! An entry's hash is SHA-256 over eight fields, each as its length in bytes (u64, little-endian) and its bytes: the text
//! `muster-audit/1`, the sequence number and the time in milliseconds (u64, little-endian), actor, action, subject (UTF-8),
//! the SHA-256 of the detail, the hash of the entry before (zeros before the first). The detail itself is not in it, so
//! that retention may drop a detail and leave a tombstone that still holds its place.
//!
//! What a chain can show: an entry edited, deleted, inserted or moved, if the hashes after it were not computed again.
//! Whoever computes them all again makes another chain that is as good: only a head kept elsewhere tells the two apart.

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::clock::Timestamp;
use crate::id::Digest;

/// The action of an entry that tells of retention. Its subject is the last sequence number whose detail may be gone.
pub const PRUNED: &str = "audit.pruned";

/// How far from its place an entry is looked for, to say where a moved one came from.
const MOVED_MAX: u64 = 10_000;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What else is worth knowing.
    pub detail: String,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The detail; `None` once retention dropped it.
    pub detail: Option<String>,
    /// SHA-256 of the detail.
    pub detail_digest: Digest,
    /// The hash of the entry before.
    pub previous: Digest,
    /// The hash of this one.
    pub hash: Digest,
}

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its last entry; 0 in an empty log.
    pub seq: u64,
    /// That entry's hash; zeros in an empty log.
    pub hash: Digest,
}

/// What a log is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry is whole and in its place.
    Ok {
        /// The log's end.
        head: Head,
    },
    /// Every entry is in its place, but retention dropped what some of them said.
    Pruned {
        /// The log's end.
        head: Head,
        /// How many entries have no detail.
        tombstones: u64,
    },
    /// It is not the log that was written.
    Broken(Broken),
}

/// The first entry that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("entry {seq}: {why}")]
pub struct Broken {
    /// Its place.
    pub seq: u64,
    /// What is wrong there.
    pub why: Why,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// There is none at this place, but later ones.
    #[error("it is missing; the next one there is entry {next}")]
    Missing {
        /// The next place that has one.
        next: u64,
    },
    /// Its place comes before that of the entry before it.
    #[error("it stands twice, or after a later one")]
    OutOfOrder,
    /// Its detail is another one.
    #[error("its detail was edited: its digest is not that in the entry")]
    Detail,
    /// It does not say what it said.
    #[error("it was edited: its hash is not that of what it says")]
    Edited,
    /// It stands at another place than it was written at.
    #[error("it was written as entry {from}: entries were swapped, inserted or deleted")]
    Moved {
        /// The place it was written at.
        from: u64,
    },
    /// It is whole, but was written after another entry than the one before it.
    #[error(
        "it was not written after the entry before it: that one was replaced or inserted, or this one"
    )]
    Stranger,
    /// It has no detail, and nothing says that it may have none.
    #[error("its detail is gone, and no entry tells of the retention that dropped it")]
    Unexplained,
    /// A head that was kept is not the log's at any place.
    #[error(
        "no entry has the head that was kept elsewhere: the log was cut before it, or written anew"
    )]
    HeadUnknown,
}

impl Head {
    /// The end of an empty log.
    pub const EMPTY: Self = Self { seq: 0, hash: Digest([0; 32]) };
}

impl Entry {
    /// The entry that tells of `deed` after `head`.
    #[must_use]
    pub fn after(head: Head, deed: Deed) -> Self {
        let Deed { at, actor, action, subject, detail } = deed;
        let mut entry = Self {
            seq: head.seq + 1,
            at,
            actor,
            action,
            subject,
            detail_digest: Digest::of(detail.as_bytes()),
            detail: Some(detail),
            previous: head.hash,
            hash: head.hash,
        };
        entry.hash = entry.hash_at(entry.seq);
        entry
    }

    /// The log's end once this is its last entry.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// The hash that this entry has at the place `seq`.
    fn hash_at(&self, seq: u64) -> Digest {
        let fields: [&[u8]; 8] = [
            b"muster-audit/1",
            &seq.to_le_bytes(),
            &self.at.0.to_le_bytes(),
            self.actor.as_bytes(),
            self.action.as_bytes(),
            self.subject.as_bytes(),
            &self.detail_digest.0,
            &self.previous.0,
        ];
        let mut hash = Sha256::new();
        for field in fields {
            let len = u64::try_from(field.len()).expect("a length fits 64 bits");
            hash.update(len.to_le_bytes());
            hash.update(field);
        }
        Digest(hash.finalize().into())
    }
}

/// A log being read, entry by entry.
#[derive(Clone, Debug)]
pub struct Chain {
    head: Head,
    kept: Option<Digest>,
    tombstones: u64,
    /// Runs of entries without detail: first and last.
    gaps: Vec<(u64, u64)>,
    pruned_to: u64,
}

impl Chain {
    /// The beginning of a log. `kept` is a head that was noted elsewhere, to be met on the way.
    #[must_use]
    pub fn new(kept: Option<Digest>) -> Self {
        let kept = kept.filter(|kept| *kept != Head::EMPTY.hash);
        Self { head: Head::EMPTY, kept, tombstones: 0, gaps: Vec::new(), pruned_to: 0 }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Broken`] when it is not the next one. There is no going on from there.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Broken> {
        let next = self.head.seq + 1;
        if entry.seq > next {
            return Err(Broken { seq: next, why: Why::Missing { next: entry.seq } });
        }
        if let Some(why) = self.fault(entry) {
            return Err(Broken { seq: entry.seq, why });
        }
        if entry.detail.is_none() {
            self.tombstones += 1;
            match self.gaps.last_mut() {
                Some((_, last)) if *last == self.head.seq => *last = entry.seq,
                _ => self.gaps.push((entry.seq, entry.seq)),
            }
        }
        if entry.action == PRUNED {
            self.pruned_to = self.pruned_to.max(entry.subject.parse().unwrap_or_default());
        }
        self.kept = self.kept.filter(|kept| *kept != entry.hash);
        self.head = entry.head();
        Ok(())
    }

    /// The end of what was read.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// How many of the entries read have no detail.
    #[must_use]
    pub fn tombstones(&self) -> u64 {
        self.tombstones
    }

    /// What the log is worth, after its last entry.
    #[must_use]
    pub fn end(&self) -> Verdict {
        let head = self.head;
        let unexplained = self.gaps.iter().find(|(_, last)| *last > self.pruned_to);
        if let Some((first, _)) = unexplained {
            let seq = (*first).max(self.pruned_to + 1);
            return Verdict::Broken(Broken { seq, why: Why::Unexplained });
        }
        if self.kept.is_some() {
            return Verdict::Broken(Broken { seq: head.seq + 1, why: Why::HeadUnknown });
        }
        match self.tombstones {
            0 => Verdict::Ok { head },
            tombstones => Verdict::Pruned { head, tombstones },
        }
    }

    fn fault(&self, entry: &Entry) -> Option<Why> {
        if entry.seq <= self.head.seq {
            return Some(Why::OutOfOrder);
        }
        let edited = |detail: &String| Digest::of(detail.as_bytes()) != entry.detail_digest;
        if entry.hash != entry.hash_at(entry.seq) {
            let near = entry.seq.saturating_sub(MOVED_MAX).max(1)..=entry.seq + MOVED_MAX;
            let from = near.into_iter().find(|&seq| entry.hash_at(seq) == entry.hash);
            return Some(from.map_or(Why::Edited, |from| Why::Moved { from }));
        }
        if entry.detail.as_ref().is_some_and(edited) {
            return Some(Why::Detail);
        }
        (entry.previous != self.head.hash).then_some(Why::Stranger)
    }
}

/// What a log is worth, whose entries are given in the order of their places. `kept` is a head that was noted elsewhere.
pub fn verify<'a>(entries: impl IntoIterator<Item = &'a Entry>, kept: Option<Digest>) -> Verdict {
    let mut chain = Chain::new(kept);
    for entry in entries {
        if let Err(broken) = chain.follow(entry) {
            return Verdict::Broken(broken);
        }
    }
    chain.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edit = fn(&mut Entry, Digest);

    fn deed(action: &str, subject: &str) -> Deed {
        Deed {
            at: Timestamp(1_000),
            actor: "rest".to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: format!("{{\"of\":\"{subject}\"}}"),
        }
    }

    fn log(deeds: impl IntoIterator<Item = Deed>) -> Vec<Entry> {
        let mut head = Head::EMPTY;
        let write = |deed| {
            let entry = Entry::after(head, deed);
            head = entry.head();
            entry
        };
        deeds.into_iter().map(write).collect()
    }

    fn five() -> Vec<Entry> {
        log(["a", "b", "c", "d", "e"].map(|subject| deed("made", subject)))
    }

    fn broken(entries: &[Entry]) -> (u64, Why) {
        match verify(entries, None) {
            Verdict::Broken(Broken { seq, why }) => (seq, why),
            fine => panic!("{fine:?}"),
        }
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        let deeds = [
            Deed {
                at: Timestamp(1_000),
                actor: "rest".to_owned(),
                action: "model.created".to_owned(),
                subject: "m/1".to_owned(),
                detail: r#"{"digest":"00"}"#.to_owned(),
            },
            Deed {
                at: Timestamp(1_001),
                actor: "node:a".to_owned(),
                action: "node.enrolled".to_owned(),
                subject: "a".to_owned(),
                detail: "{}".to_owned(),
            },
        ];
        let hashes: Vec<String> = log(deeds).iter().map(|entry| entry.hash.to_string()).collect();
        // The same from Python's hashlib and struct.
        let expected = [
            "7bea8cdf4d63cbc0c7ab7f7b01d8aacf246b77e78845018ed2729faa62d3c33c",
            "7c503fdca46e53cd6c97ee7c56e119d60a8757a9a110936df4c54b90538ad83a",
        ];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn a_log_as_it_was_written_is_ok_and_so_is_an_empty_one() {
        let entries = five();
        let head = entries[4].head();
        assert_eq!((head.seq, verify(&entries, None)), (5, Verdict::Ok { head }));
        assert_eq!(verify(&[], None), Verdict::Ok { head: Head::EMPTY });
        for kept in entries.iter().map(|entry| entry.hash).chain([Head::EMPTY.hash]) {
            assert_eq!(verify(&entries, Some(kept)), Verdict::Ok { head }, "an earlier head");
        }
    }

    #[test]
    fn every_edited_field_is_named() {
        let other = Digest::of(b"x");
        let edits: [(Edit, Why); 9] = [
            (|entry, _| entry.at.0 += 1, Why::Edited),
            (|entry, _| entry.actor.push('x'), Why::Edited),
            (|entry, _| entry.action.push('x'), Why::Edited),
            (|entry, _| entry.subject.push('x'), Why::Edited),
            (|entry, _| entry.detail = Some("{}".to_owned()), Why::Detail),
            (|entry, other| entry.detail_digest = other, Why::Edited),
            (|entry, other| entry.previous = other, Why::Edited),
            (|entry, other| entry.hash = other, Why::Edited),
            (|entry, _| entry.detail = None, Why::Unexplained),
        ];
        for at in 0..5 {
            for (edit, why) in &edits {
                let mut entries = five();
                edit(&mut entries[at], other);
                assert_eq!(broken(&entries), (entries[at].seq, why.clone()));
            }
        }
    }

    #[test]
    fn text_cannot_slip_from_one_field_into_the_next() {
        let mut entries = five();
        entries[2].actor = "res".to_owned();
        entries[2].action = "tmade".to_owned();
        assert_eq!(broken(&entries), (3, Why::Edited));
    }

    #[test]
    fn a_deleted_an_inserted_and_a_swapped_entry_are_named() {
        for at in 0..4 {
            let mut entries = five();
            entries.remove(at);
            let seq = entries[at].seq - 1;
            assert_eq!(broken(&entries), (seq, Why::Missing { next: seq + 1 }));
            for (entry, seq) in entries.iter_mut().zip(1..) {
                entry.seq = seq;
            }
            assert_eq!(broken(&entries), (seq, Why::Moved { from: seq + 1 }), "renumbered");
        }
        let mut swapped = five();
        swapped.swap(1, 2);
        assert_eq!(broken(&swapped), (2, Why::Missing { next: 3 }));
        swapped[1].seq = 2;
        swapped[2].seq = 3;
        assert_eq!(broken(&swapped), (2, Why::Moved { from: 3 }));

        let mut inserted = five();
        inserted.insert(2, Entry::after(inserted[1].head(), deed("made", "x")));
        assert_eq!(broken(&inserted), (3, Why::OutOfOrder));
        for (entry, seq) in inserted.iter_mut().zip(1..) {
            entry.seq = seq;
        }
        assert_eq!(broken(&inserted), (4, Why::Moved { from: 3 }));
        let mut replaced = five();
        replaced[2] = Entry::after(replaced[1].head(), deed("made", "x"));
        assert_eq!(broken(&replaced), (4, Why::Stranger));
    }

    #[test]
    fn only_a_head_kept_elsewhere_shows_a_cut_tail_or_another_log() {
        let entries = five();
        let kept = entries[4].hash;
        let cut = &entries[..3];
        assert_eq!(verify(cut, None), Verdict::Ok { head: entries[2].head() });
        let unknown = |seq| Verdict::Broken(Broken { seq, why: Why::HeadUnknown });
        assert_eq!(verify(cut, Some(kept)), unknown(4));
        assert_eq!(verify(&[], Some(kept)), unknown(1));
        let rewritten = log(["a", "b", "C", "d", "e"].map(|subject| deed("made", subject)));
        assert_eq!(verify(&rewritten, None), Verdict::Ok { head: rewritten[4].head() });
        assert_eq!(verify(&rewritten, Some(kept)), unknown(6));
    }

    #[test]
    fn tombstones_are_pruned_and_never_ok_and_must_be_told_of() {
        let mut deeds = ["a", "b", "c"].map(|subject| deed("made", subject)).to_vec();
        deeds.push(deed(PRUNED, "2"));
        deeds.push(deed("made", "d"));
        let mut entries = log(deeds);
        let head = entries[4].head();
        entries[0].detail = None;
        entries[1].detail = None;
        assert_eq!(verify(&entries, None), Verdict::Pruned { head, tombstones: 2 });
        entries[1].actor.push('x');
        assert_eq!(broken(&entries), (2, Why::Edited), "a tombstone still holds its place");
        entries[1].actor.pop();
        entries[2].detail = None;
        assert_eq!(broken(&entries), (3, Why::Unexplained));
        entries[3].detail = None;
        assert_eq!(broken(&entries), (3, Why::Unexplained));
    }

    #[test]
    fn sentences_name_the_entry() {
        let broken = Broken { seq: 7, why: Why::Moved { from: 9 } };
        let says = "entry 7: it was written as entry 9: entries were swapped, inserted or deleted";
        assert_eq!(broken.to_string(), says);
    }
}
