//! The rounds of a run, as its page shows them: added up, as a curve, as a strip, as a table.

use federation::round::RoundState;
use maud::{Markup, html};

use super::super::problem::Problem;
use super::super::runs::no_run;
use super::chart::{Bar, Line, shares, strip, thinned};
use super::words::{ago, bytes, count, duration, operations, percent, state};
use crate::core::Core;
use crate::store::{Round, Run, Totals, Version, WhichRounds};

/// Rounds that are read at once.
const READ: u32 = 1_000;
/// Most rounds and versions that a page looks at: of a longer run, the first ones.
const ROUNDS_MAX: usize = 20_000;
/// Most bars of the strip.
const BARS: usize = 120;

/// A run's rounds.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) all: Vec<Round>,
    pub(super) versions: Vec<Version>,
}

/// What a run's rounds add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) totals: Totals,
    /// Nodes drawn for rounds that are over.
    pub(super) drawn: u64,
    /// Of those, whose updates were counted.
    pub(super) counted: u64,
    pub(super) abandoned: u64,
}

impl Rounds {
    /// All of a run's, and the versions they made.
    pub(super) async fn read(core: &Core, run: &Run) -> Result<Self, Problem> {
        let mut all: Vec<Round> = Vec::new();
        while all.len() < ROUNDS_MAX {
            let after = all.last().map_or(0, |round| round.key.cursor());
            let found = core.store.rounds(run.id, WhichRounds::default(), after, READ).await?;
            let found = found.ok_or_else(no_run)?;
            let short = found.len() < usize::try_from(READ).unwrap_or(usize::MAX);
            all.extend(found);
            if short {
                break;
            }
        }
        let mut versions: Vec<Version> = Vec::new();
        while versions.len() < ROUNDS_MAX {
            // Before its base version a run has made none.
            let after = versions.last().map_or(run.base_version.0, |version| version.number.0);
            let found = core.store.versions(run.model.clone(), Some(run.id), after, READ).await?;
            let found = found.unwrap_or_default();
            let short = found.len() < usize::try_from(READ).unwrap_or(usize::MAX);
            versions.extend(found);
            if short {
                break;
            }
        }
        Ok(Self { all, versions })
    }

    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for round in &self.all {
            let Totals { updates, samples, correct, synaptic_ops, bytes_up, bytes_down } =
                round.totals;
            let all = &mut sums.totals;
            all.updates = all.updates.saturating_add(updates);
            all.samples = all.samples.saturating_add(samples);
            all.correct = all.correct.saturating_add(correct);
            all.synaptic_ops = all.synaptic_ops.saturating_add(synaptic_ops);
            all.bytes_up = all.bytes_up.saturating_add(bytes_up);
            all.bytes_down = all.bytes_down.saturating_add(bytes_down);
            if round.closed_ms.is_some() {
                sums.drawn += u64::from(round.cohort);
                sums.counted += u64::from(updates);
            }
            sums.abandoned += u64::from(round.state == RoundState::Abandoned);
        }
        sums
    }

    /// The newest version's accuracy on samples that nodes held out, of those that have one.
    pub(super) fn held_out(&self) -> Option<(u32, u64, u64)> {
        let told = self.versions.iter().rev();
        told.filter_map(|version| {
            version.accuracy.map(|told| (version.number.0, told.correct, told.samples))
        })
        .next()
    }

    /// The learning curve: by round, what nodes answered correctly while learning, and what they did on samples held
    /// out with the version that the round made.
    pub(super) fn curve(&self) -> Markup {
        let permille =
            |correct: u64, samples: u64| correct.saturating_mul(1_000).checked_div(samples);
        let learning = |round: &Round| {
            let share = permille(round.totals.correct, round.totals.samples)?;
            (round.state == RoundState::Published).then_some((u64::from(round.round.number), share))
        };
        let held_out = |version: &Version| {
            let (round, told) = (version.made_by?.1, version.accuracy?);
            Some((u64::from(round), permille(told.correct, told.samples)?))
        };
        let learning: Vec<_> = self.all.iter().filter_map(learning).collect();
        let held_out: Vec<_> = self.versions.iter().filter_map(held_out).collect();
        let last = self.all.last().map_or(1, |round| u64::from(round.round.number));
        let mut lines =
            vec![Line { name: "while learning", class: "side", points: thinned(&learning) }];
        if !held_out.is_empty() {
            lines.push(Line { name: "held out", class: "main", points: thinned(&held_out) });
        }
        shares("h-curve", "Accuracy", "round", &lines, (1, last.max(2)))
    }

    /// The last rounds: how much of each one's goal came, and how it ended.
    pub(super) fn strip(&self, run: &Run) -> Markup {
        let last = &self.all[self.all.len().saturating_sub(BARS)..];
        let goal = u64::from(run.plan.cohort.goal).max(1);
        let bar = |round: &Round| {
            let updates = u64::from(round.totals.updates);
            let class = match round.state {
                RoundState::Open | RoundState::Closing => "open",
                RoundState::Published => "published",
                RoundState::Abandoned => "abandoned",
            };
            let title = format!(
                "Round {}, attempt {}: {class}, {updates} of {goal} updates",
                round.round.number, round.round.attempt
            );
            Bar { share: updates * 1_000 / goal, class, title }
        };
        let bars: Vec<Bar> = last.iter().map(bar).collect();
        let abandoned = bars.iter().filter(|bar| bar.class == "abandoned").count();
        strip(
            &bars,
            &format!("The last {} rounds by updates, {abandoned} of them abandoned", bars.len()),
        )
    }

    /// The rounds before number `before` in a table, the newest first, and where the next ones begin.
    pub(super) fn table(
        &self,
        run: &Run,
        before: Option<u64>,
        limit: usize,
        now_ms: u64,
    ) -> (Markup, Option<u64>) {
        let older: Vec<&Round> = self
            .all
            .iter()
            .rev()
            .filter(|round| before.is_none_or(|before| round.key.cursor() < before))
            .collect();
        let shown = &older[..limit.min(older.len())];
        let next =
            shown.last().filter(|_| older.len() > shown.len()).map(|round| round.key.cursor());
        let goal = run.plan.cohort.goal;
        let table = html! {
            div.scroll tabindex="0" role="region" aria-label="Rounds" {
                table {
                    thead { tr {
                        th.num scope="col" { "Round" } th scope="col" { "State" } th.num scope="col" { "Updates" }
                        th.num scope="col" { "Took part" } th.num scope="col" { "While learning" }
                        th.num scope="col" { "Version" } th.num scope="col" { "Up" } th.num scope="col" { "Down" }
                        th.num scope="col" { "Synaptic ops" } th.num scope="col" { "Open" } th scope="col" { "Opened" }
                    } }
                    tbody {
                        @for round in shown {
                            tr {
                                th.num scope="row" { (round.round.number) @if round.round.attempt > 1 { span.muted { "." (round.round.attempt) } } }
                                td {
                                    (state(round.state.as_str()))
                                    @if round.at_deadline { " " span.tag { "deadline" } }
                                    @if let Some(reason) = &round.reason { span.muted { " " (reason.replace('_', " ")) } }
                                }
                                td.num { (round.totals.updates) span.muted { "/" (goal) } }
                                td.num { (percent(round.totals.updates.into(), round.cohort.into())) }
                                td.num { (percent(round.totals.correct, round.totals.samples)) }
                                td.num { @match round.version { Some(version) => (version.0), None => span.muted { "–" } } }
                                td.num { (bytes(round.totals.bytes_up)) }
                                td.num { (bytes(round.totals.bytes_down)) }
                                td.num { (operations(round.totals.synaptic_ops)) }
                                td.num { (duration(round.served_ms)) }
                                td { (ago(round.opened_ms, now_ms)) }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next {
                nav.pager aria-label="More rounds" {
                    span.muted { (count(older.len().saturating_sub(shown.len()) as u64)) " older" }
                    a.button rel="next" href=(format!("/runs/{}?before={next}#h-rounds", run.id.0)) { "Older rounds" }
                }
            }
        };
        (table, next)
    }
}
