//! The page, section by section.

use super::super::data::Data;
use super::super::table;
use super::super::text::{bytes, count, energy, escape, large, percent, seconds};
use super::parts::{details, facts, figure, push, put_table, section};
use super::{outcome, subject};

/// The sections that the page's head leads to.
const PLACES: [(&str, &str); 7] = [
    ("learning", "Learning"),
    ("nodes", "Nodes"),
    ("course", "Rounds"),
    ("network", "Inside the network"),
    ("chip", "On the chip"),
    ("plan", "Plan and world"),
    ("repeat", "Repeat it"),
];

/// All of it.
pub(super) fn all(data: &Data) -> String {
    let mut out = String::new();
    head(&mut out, data);
    out.push_str("<main id=\"main\">\n");
    learning(&mut out, data);
    nodes(&mut out, data);
    course(&mut out, data);
    network(&mut out, data);
    chip(&mut out, data);
    plan(&mut out, data);
    repeat(&mut out, data);
    out.push_str("</main>\n");
    foot(&mut out, data);
    out
}

fn head(out: &mut String, data: &Data) {
    let kicker = match (data.mode.as_str(), &data.world) {
        ("", None) => "Report".to_owned(),
        (mode, None) => format!("Report of a {mode} run"),
        (_, Some(world)) => format!("Report of a simulation in the world “{}”", world.name),
    };
    push(
        out,
        &format!(
            "<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header><p class=\"kicker\">Muster · {}</p><h1>{}: {}</h1>",
            escape(&kicker),
            escape(&subject(data)),
            escape(&outcome(data))
        ),
    );
    push(out, &format!("<p class=\"lede\">{}</p>", escape(&lede(data))));
    out.push_str("<ul class=\"marks\">");
    if data.partial {
        out.push_str("<li class=\"warn\">partial: stopped before its plan was through</li>");
    }
    if data.reproducible {
        push(out, &format!("<li class=\"good\">repeats bit for bit with seed {}</li>", data.seed));
    } else {
        out.push_str(
            "<li class=\"warn\">not reproducible: a deadline or a restarted node took part</li>",
        );
    }
    if data.restarts > 0 {
        push(out, &format!("<li class=\"warn\">{} node restarts</li>", data.restarts));
    }
    out.push_str("</ul>");
    figures(out, data);
    out.push_str("<nav aria-label=\"Sections\"><ul>");
    for (id, name) in PLACES {
        push(out, &format!("<li><a href=\"#{id}\">{name}</a></li>"));
    }
    out.push_str("</ul></nav></header>\n");
}

/// The run in two sentences.
fn lede(data: &Data) -> String {
    let made = data.versions.iter().filter(|version| version.updates > 0).count();
    let updates: u64 = data.versions.iter().map(|version| version.updates).sum();
    let mut text = format!(
        "{} updates of 8 bits a weight made {made} versions in {}",
        count(updates),
        seconds(data.wall_s)
    );
    if let Some(virtual_s) = data.virtual_s {
        text += &format!(" ({} of the world’s time)", seconds(virtual_s));
    }
    text += ". No sensor data left a node.";
    if let Some(central) = data.baselines.and_then(|baselines| baselines.centralised) {
        let points = (data.final_accuracy - central) * 100.0;
        text +=
            &format!(" One chip with all the data gets {}: {points:+.1} points.", percent(central));
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn figures(out: &mut String, data: &Data) {
    let made: Vec<_> = data.versions.iter().filter(|version| version.updates > 0).collect();
    let sum =
        |field: fn(&crate::report::Version) -> u64| made.iter().map(|row| field(row)).sum::<u64>();
    let updates = sum(|row| row.updates);
    let energy_all: f64 = made.iter().map(|row| row.energy_nj * row.updates as f64).sum();
    let best = data.versions.iter().filter_map(|version| version.accuracy).fold(0.0, f64::max);
    let mut figures = vec![(
        "accuracy of the final version",
        percent(data.final_accuracy),
        format!("on {} unseen samples; best {}", count(data.test_samples), percent(best)),
    )];
    if let Some(local) = data.baselines.and_then(|baselines| baselines.local_only) {
        figures.push(("if nodes learnt alone", percent(local), "mean over nodes".to_owned()));
    }
    let rounds = data.rounds.iter().filter(|round| round.state == "published").count();
    let rounds = if data.rounds.is_empty() { made.len() } else { rounds };
    figures.push(("rounds published", rounds.to_string(), format!("{} updates", count(updates))));
    figures.push((
        "from the fleet",
        bytes(sum(|row| row.bytes_up)),
        format!("{} to it", bytes(sum(|row| row.bytes_down))),
    ));
    if energy_all > 0.0 {
        let mean = energy(energy_all / updates.max(1) as f64);
        figures.push((
            "energy of a node’s round",
            mean,
            "estimated, at 5.3 pJ an operation".to_owned(),
        ));
    }
    if let Some(speed) = data.speed.as_ref().filter(|speed| speed.times_real_time > 0.0) {
        figures.push((
            "faster than real time",
            format!("{} ×", times(speed.times_real_time)),
            format!("learning, on one core here ({})", speed.isa),
        ));
    }
    out.push_str("<dl class=\"figures\">");
    for (name, value, note) in figures {
        push(
            out,
            &format!(
                "<div><dt>{}<small>{}</small></dt><dd>{}</dd></div>",
                escape(name),
                escape(&note),
                escape(&value)
            ),
        );
    }
    out.push_str("</dl>");
}

fn learning(out: &mut String, data: &Data) {
    section(
        out,
        "learning",
        "Learning",
        "Every version is tested on samples that no node trained on.",
    );
    figure(out, data, "curve", "", &[table::versions(data)]);
    out.push_str("</section>\n");
}

fn nodes(out: &mut String, data: &Data) {
    section(out, "nodes", "Nodes", "");
    out.push_str("<div class=\"pair\">");
    figure(out, data, "accuracy", "each on samples of its own that it holds out", &[]);
    figure(out, data, "participation", "", &[]);
    out.push_str("</div>");
    let table = table::nodes(data);
    if !table.rows.is_empty() {
        details(out, "Every node", &table, "What each node took part in, and its accuracy");
    }
    out.push_str("</section>\n");
}

fn course(out: &mut String, data: &Data) {
    section(out, "course", "Rounds", "");
    figure(out, data, "rounds", "", &[table::rounds(data)]);
    out.push_str("<div class=\"pair\">");
    figure(out, data, "bytes", "", &[]);
    figure(out, data, "energy", "", &[]);
    out.push_str("</div></section>\n");
}

fn network(out: &mut String, data: &Data) {
    let about = data.trace.as_ref().map_or_else(String::new, |trace| {
        let verdict = if trace.inferred == trace.label { "rightly" } else { "wrongly" };
        format!(
            "One unseen sample of class {} in version {}, step by step; the network {verdict} says {}.",
            trace.label, trace.version, trace.inferred
        )
    });
    section(out, "network", "Inside the network", &about);
    figure(out, data, "raster", "", &[]);
    figure(out, data, "potentials", "", &[]);
    figure(
        out,
        data,
        "weights",
        "each layer on a scale of its own; the final version in full colour",
        &[table::weights_summary(data)],
    );
    out.push_str("</section>\n");
}

fn chip(out: &mut String, data: &Data) {
    let Some(cost) = &data.cost else { return };
    let about = format!(
        "Counted by the bit-exact model; times are for a clock of {} MHz, energies for {} pJ per synaptic operation (0.5 V; Frenkel and Indiveri, ISSCC 2022).",
        cost.clock_mhz, cost.pj_per_synaptic_op
    );
    section(out, "chip", "On the chip", &about);
    let table = table::costs(data);
    if !table.rows.is_empty() {
        put_table(out, &table, "Learning and inference, on some unseen samples");
    }
    let mut list = vec![
        ("weights", bytes(cost.footprint.weights)),
        ("neurons’ memory", bytes(cost.footprint.neurons)),
        ("model of the chip on this machine", bytes(cost.footprint.model)),
    ];
    if let Some(run) = &cost.run {
        let about = if run.cycles_exact { "" } else { " (from the mean of those measured)" };
        list.push(("samples learnt from in the run", count(run.samples)));
        list.push(("synaptic operations of the run", count(run.synaptic_ops)));
        list.push(("clock cycles of the run", format!("{}{about}", count(run.cycles))));
        list.push(("energy of the run", energy(run.energy_nj)));
        list.push(("time of the run on one chip", seconds(run.chip_s)));
    }
    if let Some(speed) = &data.speed {
        let what = format!(
            "{} times, over {} samples",
            times(speed.times_real_time),
            count(speed.samples)
        );
        list.push(("one core here learns faster than real time", what));
    }
    facts(out, &list);
    if let Some(bench) = &cost.neurobench {
        out.push_str("<h3>As NeuroBench defines it, over inference</h3>");
        let per = |operations: u64| per_sample(operations, bench.samples);
        facts(
            out,
            &[
                ("footprint", bytes(bench.footprint_bytes)),
                ("connection sparsity", format!("{:.3}", bench.connection_sparsity)),
                ("activation sparsity", format!("{:.4}", bench.activation_sparsity)),
                ("effective MACs per sample", per(bench.effective_macs)),
                ("effective ACs per sample", per(bench.effective_acs)),
                ("dense operations per sample", per(bench.dense)),
                ("steps per sample", per(bench.steps)),
            ],
        );
    }
    out.push_str("</section>\n");
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn per_sample(operations: u64, samples: u64) -> String {
    large(operations as f64 / samples.max(1) as f64)
}

/// How many times, without a fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, shown whole")]
fn times(times: f64) -> String {
    count(times.max(0.0).round() as u64)
}

fn plan(out: &mut String, data: &Data) {
    section(
        out,
        "plan",
        "Plan and world",
        "The plan decides a run’s result, together with its seed and the nodes’ data.",
    );
    let plan = serde_json::to_string_pretty(&data.plan).unwrap_or_default();
    push(
        out,
        &format!(
            "<details><summary>The plan, as the coordinator held it</summary><pre>{}</pre></details>",
            escape(&plan)
        ),
    );
    if let Some(world) = &data.world {
        push(
            out,
            &format!(
                "<details><summary>The world “{}”</summary><pre>{}</pre></details>",
                escape(&world.name),
                escape(&world.toml)
            ),
        );
    }
    out.push_str("</section>\n");
}

fn repeat(out: &mut String, data: &Data) {
    let about = if data.reproducible {
        "The same command gives the same digests, on every machine."
    } else {
        "Time took part in this run: the same command gives a similar one, not the same digests."
    };
    section(out, "repeat", "Repeat it", about);
    if !data.command.is_empty() {
        push(
            out,
            &format!(
                "<div class=\"command\"><pre><code id=\"command\">{}</code></pre><button type=\"button\" data-copy=\"command\" hidden>Copy</button></div>",
                escape(&data.command)
            ),
        );
    }
    let device = &data.device;
    let cpu = if device.cpu.is_empty() { "unknown processor" } else { &device.cpu };
    let mut list = vec![
        ("seed", data.seed.to_string()),
        ("program", data.made_by.clone()),
        ("machine", format!("{cpu}, {} cores, {}", device.cores, device.isa)),
    ];
    if let Some(last) = data.versions.last() {
        list.push(("digest of the final version", last.digest.clone()));
    }
    facts(out, &list);
    out.push_str("</section>\n");
}

fn foot(out: &mut String, data: &Data) {
    push(
        out,
        &format!(
            "<footer><p>Written by {}. Beside this page: report.json, a CSV file for each table, an SVG and a PNG file for each plot.</p></footer>\n",
            escape(&data.made_by)
        ),
    );
}
