//! Reloading: on SIGHUP the configuration and the certificate are read again, and what can change without a restart does.

use std::convert::Infallible;

use crate::config::{Args, Config, ConfigError, Effect, Loaded, SETTINGS};
use crate::server::{Certificates, Running, Tuning};
use crate::shutdown::Hangups;
use crate::telemetry::LogFilter;

/// Everything that a reload touches.
#[derive(Debug)]
pub struct Reloader {
    args: Args,
    config: Config,
    tuning: Tuning,
    log: LogFilter,
    certificates: Option<Certificates>,
}

/// A setting whose value is another in the file now.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    key: &'static str,
    old: String,
    new: String,
    effect: Effect,
}

impl Reloader {
    /// A reloader of what was loaded from `args`, for a coordinator that runs by it.
    #[must_use]
    pub fn new(args: Args, loaded: Loaded, running: &Running, log: LogFilter) -> Self {
        // A file that was there must be there again: without it, all it says would fall back to the default.
        let args = match &loaded.file {
            Some(file) => args.with_file(file.clone()),
            None => args,
        };
        let (tuning, certificates) = (running.tuning(), running.certificates());
        tuning.show(&loaded);
        Self { args, config: loaded.config, tuning, log, certificates }
    }

    /// Reloads at every SIGHUP. Does not end.
    pub async fn run(mut self, mut hangups: Hangups) -> Infallible {
        loop {
            hangups.next().await;
            self.reload();
            if let Some(certificates) = &self.certificates {
                // The reason is logged by then.
                let _ = certificates.reload();
            }
        }
    }

    fn reload(&mut self) {
        let mut config = self.config.clone();
        let changes = self.args.load().and_then(|new| {
            let changes = adopt(&mut config, &new.config);
            // What changes at once must also be right beside what stays.
            config.check().map(|()| (changes, new))
        });
        match changes {
            Ok((changes, mut new)) => {
                // The log first: what is said next is logged as it should be.
                self.log.apply(&config);
                self.tuning.apply(&config);
                new.config.clone_from(&config);
                self.tuning.show(&new);
                self.config = config;
                for Change { key, old, new, effect } in &changes {
                    match effect {
                        Effect::Reload => tracing::info!(key, old, new, "a setting has changed"),
                        Effect::Restart => {
                            tracing::warn!(key, old, new, "a setting needs a restart")
                        }
                    }
                }
                tracing::info!(changes = changes.len(), "the configuration was read again");
            }
            Err(ConfigError { problems }) => {
                for problem in &problems {
                    let (code, place, why) = (problem.code, &*problem.place, &*problem.why);
                    tracing::error!(code, place, why, "a mistake in the configuration");
                }
                let mistakes = problems.len();
                tracing::error!(mistakes, "the configuration stays as it was");
            }
        }
    }
}

/// Takes over from `other` what can change at once, and tells all that differs.
fn adopt(config: &mut Config, other: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    for setting in SETTINGS {
        let (old, new) = (setting.value(config), setting.value(other));
        if old == new {
            continue;
        }
        if setting.effect == Effect::Reload {
            (setting.copy)(config, other);
        }
        let (old, new) = (old.to_string(), new.to_string());
        changes.push(Change { key: setting.key, old, new, effect: setting.effect });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_changes_what_it_can_and_tells_the_rest() {
        let mut config = Config { tick_ms: 20, ..Config::default() };
        let new =
            Config { log: "debug".to_owned(), data_dir: "elsewhere".into(), ..config.clone() };
        let change = |key, old: &str, new: &str, effect| {
            let (old, new) = (format!("{old:?}"), format!("{new:?}"));
            Change { key, old, new, effect }
        };
        let stays = || change("data.dir", "muster-data", "elsewhere", Effect::Restart);
        let told = adopt(&mut config, &new);
        assert_eq!(told, [stays(), change("log.level", "info", "debug", Effect::Reload)]);
        let expected = Config { tick_ms: 20, log: "debug".to_owned(), ..Config::default() };
        assert_eq!(config, expected);
        assert_eq!(adopt(&mut config, &new), [stays()], "it is told again");
    }
}
