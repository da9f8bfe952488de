//! A table and its description, and what can be wrong with them.

use super::*;
use proptest::prelude::*;

const DESCRIPTION: &str = r#"
file = "t.csv"
sample = "take"
columns = ["a", "b"]
label = "what"
subject = "who"
test_every = 2
[encoder]
kind = "crossing"
step = 0.5
"#;

const ROWS: &str = "take,who,what,a,b,more\n\
    1,ann,wave,0,0,x\n1,ann,wave,0.5,0,x\n1,ann,wave,0.4,-3,x\n\
    2,bob,push,1,1,x\n2,bob,push,1,1.5,x\n";

fn table(description: &str, rows: &str) -> Result<Table, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.csv"), rows).unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, description).unwrap();
    let place = format!("{}/", dir.path().display());
    read(&path).map_err(|error| error.to_string().replace(&place, ""))
}

fn events(sample: &Sample) -> Vec<(u32, u8)> {
    sample.events.iter().map(|event| (event.tick, event.address)).collect()
}

#[test]
fn rows_become_samples_and_readings_events() {
    let table = table(DESCRIPTION, ROWS).unwrap();
    assert_eq!(
        (table.channels, table.classes, table.subjects),
        (4, vec!["push".to_owned(), "wave".to_owned()], vec!["ann".to_owned(), "bob".to_owned()])
    );
    let [(first, subject)] = &table.training[..] else { panic!("one to learn from") };
    assert_eq!((first.label, first.ticks, *subject), (1, 3, 0));
    assert_eq!(events(first), [(1, 0), (2, 3)]);
    assert_eq!((first.target_valid.clone(), first.infer_acc.clone()), (1..3, 2..3));
    assert_eq!(table.test.len(), 1);
    assert_eq!((table.test[0].label, events(&table.test[0])), (0, vec![(1, 2)]));
}

#[test]
fn other_encoders_and_splits() {
    let by_subject = DESCRIPTION.replace("test_every = 2", "test_subjects = [\"ann\"]");
    let rate = by_subject.replace("kind = \"crossing\"\nstep = 0.5", "kind = \"rate\"\nfull = 1.0");
    let table_of = |description: &str| table(description, ROWS).unwrap();
    assert_eq!(events(&table_of(&rate).test[0]), [(2, 0)].map(|_| (2, 0))[..0].to_vec());
    assert_eq!(events(&table_of(&rate).training[0].0), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    let plain = by_subject.replace("kind = \"crossing\"\nstep = 0.5", "kind = \"events\"");
    assert_eq!(events(&table_of(&plain).test[0]), [(1, 0), (2, 0), (2, 1)]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let wrong = |description: &str, rows: &str| table(description, rows).unwrap_err();
    let changed = |from: &str, to: &str| wrong(&DESCRIPTION.replace(from, to), ROWS);
    assert!(changed("label", "lable").starts_with("t.toml, line "));
    assert!(changed("test_every = 2", "").contains("who tests?"));
    assert!(changed("step = 0.5", "step = -1").contains("encoder: -1"));
    assert!(changed("\"a\", \"b\"", "").contains("1 to 256 channels"));
    assert_eq!(changed("\"b\"", "\"c\""), "t.csv, line 1: there is no column `c`");
    assert_eq!(
        wrong(DESCRIPTION, &ROWS.replace("0.4", "high")),
        "t.csv, line 4: a: `high` is not a number"
    );
    assert!(
        wrong(DESCRIPTION, &ROWS.replace("1,ann,wave,0.4", "1,ann,push,0.4"))
            .contains("line 4: label or subject")
    );
    let again = format!("{ROWS}1,ann,wave,0,0,x\n");
    assert_eq!(
        wrong(DESCRIPTION, &again),
        "t.csv, line 7: rows of sample `1` do not follow each other"
    );
    assert!(wrong(DESCRIPTION, "take,who,what,a,b\n").contains("0 samples to learn from"));
    assert!(wrong(DESCRIPTION, "take,who,what,a,b\n1,ann\n").contains("line 2"));
}

proptest! {
    #[test]
    fn no_table_makes_it_panic(rows in "[a-z0-9,.\n\"-]{0,200}") {
        let text = format!("take,who,what,a,b\n{rows}");
        let description: Description = toml::from_str(DESCRIPTION).unwrap();
        if let Ok(table) = description.encode(text.as_bytes()) {
            prop_assert!(!table.training.is_empty());
        }
    }
}
