//! Models leave as files and come back as models: over REST, through every format, and through Python.

use std::path::Path;
use std::process::{Output, Stdio};

use federation::{Artifact, Digest};
use serde_json::{Value, json};
use simulator::demo::navigation_artifact;

use crate::support::fixture::{digests, post_model};
use crate::support::process::{Serve, muster};
use crate::support::python::python;
use crate::support::require::skip;

async fn model(args: &[&str]) -> Output {
    let command =
        muster().arg("model").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    command.await.unwrap()
}

/// Runs `muster model` with `--json` and returns what it says.
async fn done(args: &[&str]) -> Value {
    let output = model(&[args, &["--json"]].concat()).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs `muster model`, which fails with `status` and says each of `says`.
async fn fails(args: &[&str], status: i32, says: &[&str]) {
    let output = model(args).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}");
    for word in says {
        assert!(text.contains(word), "wanted `{word}` in: {text}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_model_goes_out_and_comes_back_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let serve = Serve::start(&path("data")).await;
    let rest = serve.rest();
    let artifact = navigation_artifact(1);
    post_model(&rest, "navigation", &artifact).await;
    let digest = Digest::of(&artifact.encode()).to_string();
    let at = ["--coordinator", serve.http()];
    for format in ["muster", "spi", "dat", "npz", "safetensors"] {
        let file = path(format);
        let name = format!("from-{format}");
        let out = ["export", "navigation@latest", "--format", format, "--out", text(&file)];
        let said = done(&[&out[..], &at].concat()).await;
        assert_eq!(
            said,
            json!({"model": "navigation", "version": 1, "digest": digest, "format": format, "path": file})
        );
        let back = ["import", &name, "--format", format, text(&file)];
        let said = done(&[&back[..], &at].concat()).await;
        assert_eq!((&said["model"], &said["digest"]), (&json!(name), &json!(digest)));
        assert_eq!(digests(&rest, &name).await, [digest.as_str()]);
        // And without a coordinator.
        let copy = path("copy.muster");
        done(&["import", "--format", format, text(&file), "--out", text(&copy)]).await;
        assert_eq!(std::fs::read(&copy).unwrap(), artifact.encode(), "{format}");
    }
    let output = path("words.spi");
    let by_number = ["export", "navigation@1", "--format", "spi", "--out", text(&output)];
    let said = model(&[&by_number[..], &at].concat()).await;
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(
        said,
        format!("navigation version 1 ({digest}) written to {} as spi\n", output.display())
    );

    let missing = ["export", "navigation@2", "--format", "spi", "--out", text(&output)];
    fails(&[&missing[..], &at].concat(), 65, &["[version_not_found]"]).await;
    let other = path("other");
    std::fs::write(&other, navigation_artifact(2).encode()).unwrap();
    let taken = ["import", "navigation", "--format", "muster", text(&other)];
    fails(&[&taken[..], &at].concat(), 65, &["[model_exists]"]).await;

    // As the next version of the model; the same content again is the same version.
    for _ in 0..2 {
        let said = done(&[&taken[..], &["--next"], &at].concat()).await;
        assert_eq!((&said["model"], &said["version"]), (&json!("navigation"), &json!(2)));
        assert_eq!(said["digest"], Digest::of(&navigation_artifact(2).encode()).to_string());
    }
    let unknown = ["import", "nobody", "--next", "--format", "muster", text(&other)];
    fails(&[&unknown[..], &at].concat(), 65, &["[model_not_found]"]).await;
    serve.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.spi");
    let copy = dir.path().join("copy.muster");
    let import = ["import", "--format", "spi", text(&file), "--out", text(&copy)];
    fails(&import, 66, &["[file_unreadable]", "model.spi"]).await;
    std::fs::write(&file, "00010000 00000001\n0001005e\n").unwrap();
    fails(&import, 65, &["[import_malformed]", "model.spi: line 2:", "0001005e with 0 words"])
        .await;
    assert!(!copy.exists());
    std::fs::write(&copy, navigation_artifact(1).encode()).unwrap();
    let nowhere = dir.path().join("no/such/file");
    let export = ["export", "--file", text(&copy), "--format", "npz", "--out", text(&nowhere)];
    fails(&export, 73, &["[file_not_written]"]).await;
    fails(&["export", "x", "--format", "gif", "--out", "x"], 2, &["`gif` is not a format"]).await;
    fails(&["export", "x@Y", "--format", "spi", "--out", "x"], 2, &["after `@` comes"]).await;
    fails(&["import", text(&copy), "--format", "muster"], 64, &["[usage]", "NAME and PATH"]).await;
    fails(&["import", "X", text(&copy), "--format", "muster"], 64, &["[invalid_name]", "`X`"])
        .await;
    let away =
        ["export", "x", "--format", "spi", "--out", "x", "--coordinator", "http://127.0.0.1:1"];
    fails(&away, 69, &["[coordinator_unreachable]", "127.0.0.1:1"]).await;
}

#[tokio::test]
async fn python_reads_the_same_values_and_its_files_come_back() {
    let Some(python) = python("h5py, nir, numpy, safetensors.numpy") else {
        let why = "no python3 with numpy, safetensors, nir and h5py";
        return skip("python_reads_the_same_values_and_its_files_come_back", "python", why);
    };
    for seed in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let artifact = navigation_artifact(seed);
        std::fs::write(path("latest.muster"), artifact.encode()).unwrap();
        for format in ["npz", "safetensors", "nir"] {
            let (from, to) = (path("latest.muster"), path(&format!("model.{format}")));
            done(&["export", "--file", text(&from), "--format", format, "--out", text(&to)]).await;
        }
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/python/interchange.py");
        let output = tokio::process::Command::new(&python).arg(script).arg(dir.path()).output();
        let output = output.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        let edges = json!([
            ["input", "w_inp"],
            ["li", "output"],
            ["lif", "w_out"],
            ["lif", "w_rec"],
            ["w_inp", "lif"],
            ["w_out", "li"],
            ["w_rec", "lif"]
        ]);
        let digest = Digest::of(&artifact.encode()).to_string();
        assert_eq!(seen, json!({"edges": edges, "digest": digest}));
        for (file, format) in
            [("saved.npz", "npz"), ("compressed.npz", "npz"), ("saved.safetensors", "safetensors")]
        {
            let copy = path("copy.muster");
            done(&["import", "--format", format, text(&path(file)), "--out", text(&copy)]).await;
            let back = Artifact::parse(&std::fs::read(&copy).unwrap()).unwrap();
            assert_eq!(back, artifact, "{file}");
        }
    }
}
