//! The figures of BENCHMARKS.md, measured anew: one JSON line per case.
//!
//! ```text
//! cargo run --release -p bench -- core [--json] [--runs 5] [--isa avx512]
//! cargo run --release -p bench -- ingest [--json] [--weights 14200] [--connections 100] [--seconds 30] [--warmup 5] [--tls] [--relay]
//! cargo run --release -p bench -- aggregate [--json] [--runs 5]
//! cargo run --release -p bench -- memory [--json] [--tls]
//! cargo run --release -p bench -- task --task navigation [--json] [--split iid] [--seeds 1..3]
//! cargo run --release -p bench -- pages [--json]
//! ```
//!
//! `--isa` (or `RECKON_ISA`) forces an instruction set; one that the processor lacks is reported as
//! skipped. Times are CPU time of this process, so that other work on the machine disturbs little.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing figures is its purpose")]

mod aggregate;
mod clock;
mod core_bench;
mod figures;
mod ingest;
mod memory;
mod navigation;
mod networks;
mod pages;
mod roof;
mod simulate;
mod task;

use std::process::ExitCode;

use reckon::Isa;

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    json: bool,
    runs: usize,
    isa: Isa,
}

const USAGE: &str = "usage: bench core [--json] [--runs N] [--isa portable|avx2|avx512]
       bench aggregate [--json] [--runs N]
       bench ingest [--json] [--weights N] [--connections N] [--seconds N] [--warmup N] [--fleet DIR] [--tls] [--relay]
       bench memory [--json] [--tls]
       bench pages [--json]
       bench simulate [--json] [--only rate|parked|usual|learning]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let bench = arguments.next();
    let done = match bench.as_deref() {
        Some("core") => options(arguments).map(|options| core(&options)),
        Some("aggregate") => options(arguments).map(|options| aggregate(&options)),
        Some("ingest") => ingest_options(arguments).map(|options| ingest(&options)),
        Some("memory") => memory(arguments),
        Some("pages") => pages(arguments),
        Some("task") => task::Options::parse(arguments)
            .map_err(|why| format!("{why}\n{}", task::USAGE))
            .map(|options| finished(task::run(&options, |line| println!("{line}")))),
        Some("simulate") => simulate(arguments),
        _ => Err("no such benchmark".to_owned()),
    };
    done.unwrap_or_else(|why| {
        eprintln!("{why}\n{USAGE}");
        ExitCode::from(64)
    })
}

fn aggregate(options: &Options) -> ExitCode {
    for line in aggregate::run(options.runs) {
        println!("{}", if options.json { line.json("aggregate", "") } else { line.text() });
    }
    ExitCode::SUCCESS
}

fn ingest(options: &ingest::Options) -> ExitCode {
    finished(ingest::run(options, |line| println!("{line}")))
}

fn memory(arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let (mut json, mut tls) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--json" => json = true,
            "--tls" => tls = true,
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok(finished(memory::run(json, tls, |line| println!("{line}"))))
}

fn simulate(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let (mut json, mut only) = (false, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--only" => only = Some(arguments.next().ok_or("--only needs a name")?),
            "--one" => {
                let numbers: Vec<String> = arguments.collect();
                return Ok(finished(simulate::one(&numbers, |line| println!("{line}"))));
            }
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok(finished(simulate::run(json, only.as_deref(), |line| println!("{line}"))))
}

fn pages(arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let mut json = false;
    for argument in arguments {
        match argument.as_str() {
            "--json" => json = true,
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok(finished(pages::run(json, |line| println!("{line}"))))
}

fn finished(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn core(options: &Options) -> ExitCode {
    let isa = options.isa;
    if !isa.is_available() {
        eprintln!("SKIPPED core: this processor lacks {isa}");
        return ExitCode::SUCCESS;
    }
    for line in core_bench::run(isa, options.runs) {
        let more = format!("\"isa\":\"{isa}\",");
        println!("{}", if options.json { line.json("core", &more) } else { line.text() });
    }
    ExitCode::SUCCESS
}

fn ingest_options(mut arguments: impl Iterator<Item = String>) -> Result<ingest::Options, String> {
    let mut options = ingest::Options::default();
    while let Some(argument) = arguments.next() {
        let number = |arguments: &mut dyn Iterator<Item = String>| {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
            value.parse::<u32>().map_err(|error| format!("{argument}: {error}"))
        };
        match argument.as_str() {
            "--json" => options.json = true,
            "--tls" => options.tls = true,
            "--relay" => options.relay = true,
            "--fleet" => {
                options.fleet = Some(arguments.next().ok_or("--fleet needs a directory")?.into());
            }
            "--weights" => options.weights = vec![number(&mut arguments)?],
            "--connections" => options.connections = vec![number(&mut arguments)?.max(1) as usize],
            "--seconds" => options.seconds = number(&mut arguments)?.into(),
            "--warmup" => options.warmup_s = number(&mut arguments)?.into(),
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok(options)
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let isa = |name: &str| Isa::named(name).ok_or_else(|| format!("no instruction set `{name}`"));
    let forced = std::env::var_os("RECKON_ISA");
    let mut options = Options {
        json: false,
        runs: 5,
        isa: forced.map_or_else(|| Ok(Isa::detect()), |name| isa(&name.to_string_lossy()))?,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--json" => options.json = true,
            "--runs" => {
                options.runs = value()?.parse().map_err(|error| format!("--runs: {error}"))?;
            }
            "--isa" => options.isa = isa(&value()?)?,
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    if options.runs == 0 {
        return Err("--runs must be at least 1".to_owned());
    }
    Ok(options)
}
