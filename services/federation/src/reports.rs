//! What nodes report about a version, together: how well it does for most of them, and for the worst off.

/// One node's report: what it tried, and what of it came out right. At most as much as it tried, and not nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Samples tried.
    pub samples: u32,
    /// Of these, classified correctly.
    pub correct: u32,
}

/// Reports, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Nodes that reported.
    pub nodes: u64,
    /// Samples they tried.
    pub samples: u64,
    /// Of these, classified correctly.
    pub correct: u64,
}

/// What all nodes report about a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All of them.
    pub total: Total,
    /// How many nodes have an accuracy below 10 %, below 20 %, and so on; the last holds 90 to 100 %.
    pub deciles: [u64; 10],
    /// The tenth of the nodes, rounded up, that have the lowest accuracy.
    pub worst: Total,
}

impl Total {
    /// Adds one node's report.
    pub fn add(&mut self, report: Report) {
        self.nodes += 1;
        self.samples += u64::from(report.samples);
        self.correct += u64::from(report.correct);
    }

    /// Takes back a report that was added.
    pub fn take_back(&mut self, report: Report) {
        self.nodes -= 1;
        self.samples -= u64::from(report.samples);
        self.correct -= u64::from(report.correct);
    }
}

impl Summary {
    /// What these reports, one of each node, say.
    #[must_use]
    pub fn of(mut reports: Vec<Report>) -> Self {
        let mut summary = Self::default();
        // a/b < c/d is a*d < c*b: no rounding decides who is worst off. Among equals the larger report comes first.
        reports.sort_unstable_by(|one, other| {
            let own = u64::from(one.correct) * u64::from(other.samples);
            let others = u64::from(other.correct) * u64::from(one.samples);
            own.cmp(&others).then(other.samples.cmp(&one.samples))
        });
        let worst = reports.len().div_ceil(10);
        for (at, &report) in reports.iter().enumerate() {
            summary.total.add(report);
            if at < worst {
                summary.worst.add(report);
            }
            let tenth = u64::from(report.correct) * 10 / u64::from(report.samples.max(1));
            let decile = usize::try_from(tenth).map_or(9, |tenth| tenth.min(9));
            summary.deciles[decile] += 1;
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(correct: u32, samples: u32) -> Report {
        Report { samples, correct }
    }

    #[test]
    fn the_worst_tenth_is_rounded_up_and_found_exactly() {
        assert_eq!(Summary::of(Vec::new()), Summary::default());
        let mut all = vec![report(333_333, 1_000_000), report(1, 3)];
        all.extend((0..9).map(|_| report(1, 1)));
        let Summary { total, deciles, worst } = Summary::of(all);
        assert_eq!(total, Total { nodes: 11, samples: 1_000_012, correct: 333_343 });
        assert_eq!(deciles, [0, 0, 0, 2, 0, 0, 0, 0, 0, 9]);
        assert_eq!(worst, Total { nodes: 2, samples: 1_000_003, correct: 333_334 });
        assert_eq!(
            Summary::of(vec![report(1, 3), report(333_333, 1_000_000)]).worst.samples,
            1_000_000
        );
    }

    #[test]
    fn deciles_begin_at_their_lower_end() {
        let deciles = |correct| Summary::of(vec![report(correct, 100)]).deciles;
        for (correct, decile) in [(0, 0), (9, 0), (10, 1), (89, 8), (90, 9), (100, 9)] {
            assert_eq!(deciles(correct)[decile], 1, "{correct}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_reports_does_not_matter_and_none_is_lost(
            reports in prop::collection::vec((1_u32..1_000).prop_flat_map(|samples| (0..=samples, Just(samples))), 0..40)
        ) {
            let reports: Vec<_> = reports.into_iter().map(|(c, s)| report(c, s)).collect();
            let mut reversed = reports.clone();
            reversed.reverse();
            let summary = Summary::of(reports.clone());
            prop_assert_eq!(summary, Summary::of(reversed));
            prop_assert_eq!(summary.deciles.iter().sum::<u64>(), summary.total.nodes);
            prop_assert_eq!(summary.worst.nodes, summary.total.nodes.div_ceil(10));
            // No tenth of the nodes is worse off than the worst.
            for one in &reports {
                prop_assert!(
                    summary.worst.nodes != 1
                        || u64::from(one.correct) * summary.worst.samples >= summary.worst.correct * u64::from(one.samples)
                );
            }
        }
    }
}
