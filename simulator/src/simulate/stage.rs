//! Sets the stage: task, world, shares and plan, before anything runs.

use std::sync::Arc;

use federation::{Artifact, NodeId};
use serde_json::{Value, json};
use tasks::navigation;

use super::life::Life;
use super::plan::{Planned, plan};
use super::shares::{Shares, name_of};
use super::state::{Home, Saved};
use super::world::{By, World};
use super::{Args, Mode, SimulateError};
use crate::rest::Rest;
use crate::sweep::Overrides;
use crate::task::{Pool, Task, some};

/// All that a simulation needs to know.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) args: Args,
    pub(crate) task: Task,
    pub(crate) world: World,
    /// Version 1.
    pub(crate) artifact: Artifact,
    pub(crate) planned: Planned,
    pub(crate) names: Vec<NodeId>,
    pub(crate) life: Arc<Life>,
    /// What one step of the chip lasts, in microseconds.
    pub(crate) step_us: u64,
    pub(crate) home: Home,
    /// What an earlier process left.
    pub(crate) resumed: Option<Saved>,
}

impl Stage {
    /// Sets it as the command line says, or as that of the simulation which is resumed.
    ///
    /// # Errors
    /// [`SimulateError`] when something of it cannot be.
    pub(crate) fn set(args: &Args) -> Result<Self, SimulateError> {
        let (mut args, mut home, resumed) = match &args.resume {
            None => (args.clone(), None, None),
            Some(dir) => {
                let (home, saved) = Home::find(dir)?;
                let again =
                    Args { report: Some(dir.clone()), json: args.json, ..saved.args.clone() };
                (again, Some(home), Some(saved))
            }
        };
        args.resume = None;
        let most = args.mode.nodes_max();
        if args.nodes > most {
            let (nodes, mode) = (args.nodes, args.mode.as_str());
            return Err(SimulateError::Nodes { nodes, mode, most });
        }
        let mut world = match &resumed {
            Some(Saved { world, toml, .. }) => World::parse(world, world, toml)?,
            None => World::open(&args.world)?,
        };
        if args.mode == Mode::Process && !world.is_still() {
            return Err(SimulateError::Mode { world: world.name });
        }
        world.data.samples = args.samples_per_node.or(world.data.samples);
        let mut task = open(&args)?;
        if world.data.by == By::Classes(1) {
            task = task.of_one_class_each();
        }
        if let Some(most) = args.test_samples {
            task.test = some(&task.test, usize::try_from(most).unwrap_or(usize::MAX)).into();
        }
        let names: Vec<NodeId> =
            (0..usize::try_from(args.nodes).unwrap_or(0)).map(name_of).collect();
        let planned = plan(&task, &world, &args, &names)?;
        let artifact = task.recipe.artifact(args.seed)?;
        Overrides::check(&planned.plan, &artifact)?;
        let step_us = task.step_us;
        let ticks = match &task.pool {
            Pool::Generated => navigation::TICKS,
            Pool::Recorded(items) => {
                items.iter().map(|item| item.sample.ticks).max().unwrap_or(navigation::TICKS)
            }
        };
        let shares = Shares::deal(&task, &world.data, args.nodes, args.seed)
            .holding_out(args.evaluate_samples);
        let sample_us = u64::from(ticks) * step_us;
        let life = Life::new(world.clone(), args.seed, shares, sample_us, planned.rounds);
        if home.is_none() {
            let made = Home::make(args.report.as_deref());
            let path = args.report.clone().unwrap_or_else(std::env::temp_dir);
            home = Some(made.map_err(|source| SimulateError::File {
                what: "directory",
                path,
                source,
            })?);
        }
        let home = home.expect("it was found or made");
        let life = Arc::new(life);
        Ok(Self { args, task, world, artifact, planned, names, life, step_us, home, resumed })
    }

    /// The run to follow: that of the simulation which is resumed, else a new one over a new model.
    ///
    /// # Errors
    /// When the coordinator takes neither.
    pub(crate) async fn run(&self, rest: &Rest) -> Result<u64, SimulateError> {
        if let Some(saved) = &self.resumed {
            return Ok(saved.run);
        }
        rest.create_model(&self.task.name, &self.artifact).await?;
        let body = json!({"model": self.task.name, "plan": self.planned.plan});
        let run: Value = rest.post("/v1/runs", &body).await?;
        Ok(run["id"].as_u64().unwrap_or(0))
    }

    /// What `simulation.json` says of run `run` at `now_us`.
    pub(crate) fn saved(&self, run: u64, now_us: u64) -> Saved {
        Saved {
            args: self.args.clone(),
            world: self.world.name.clone(),
            toml: self.world.toml.clone(),
            run,
            now_us,
        }
    }

    /// Notes how far it is, where that is kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self, run: u64, now_us: u64) -> Result<(), SimulateError> {
        self.home.save(&self.saved(run, now_us)).map_err(self.unwritable())
    }

    /// The error of a file of the simulation's own that cannot be written.
    pub(crate) fn unwritable(&self) -> impl Fn(std::io::Error) -> SimulateError + use<> {
        let path = self.home.path().to_owned();
        move |source| SimulateError::File { what: "state in", path: path.clone(), source }
    }

    /// The simulation is over.
    ///
    /// # Errors
    /// When what it kept cannot be removed.
    pub(crate) fn forget(&self) -> std::io::Result<()> {
        self.home.forget()
    }
}

fn open(args: &Args) -> Result<Task, SimulateError> {
    let data = match &args.data {
        Some(data) => format!("{}:{}", args.task, data.display()),
        None => args.task.clone(),
    };
    Ok(crate::task::open(&data, args.seed)?)
}
