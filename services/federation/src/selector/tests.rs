//! What selectors mean, how they are written, and what is none.

use super::*;
use proptest::prelude::*;

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn each_form_means_what_it_means_in_kubernetes() {
    let node = labels("site=ams class=b");
    for (text, selected) in [
        ("", true),
        (" \t", true),
        ("site=ams", true),
        ("site == ams", true),
        ("site=ber", false),
        ("room=1", false),
        ("site!=ber", true),
        ("site != ams", false),
        ("room!=1", true),
        ("class in (a,b)", true),
        ("class in(a)", false),
        ("room in (1)", false),
        ("class notin (a,c)", true),
        ("class notin ( a , b )", false),
        ("room notin (1)", true),
        ("site", true),
        ("room", false),
        ("!room", true),
        ("! site", false),
        ("site=ams,class in (a,b),!room", true),
        ("site=ams,class in (a,c),!room", false),
        ("site=ams,site=ber", false),
    ] {
        assert_eq!(text.parse::<Selector>().unwrap().matches(&node), selected, "{text:?}");
    }
}

#[test]
fn words_of_the_grammar_are_keys_and_values_too() {
    let selector: Selector = "in in (in,notin), !notin, notin=in".parse().unwrap();
    assert_eq!(selector.to_string(), "in in (in,notin),!notin,notin=in");
    assert!("in".parse::<Selector>().unwrap().matches(&labels("in=x")));
}

#[test]
fn the_text_is_canonical() {
    for (text, canonical) in [
        ("  ", ""),
        ("b,a", "a,b"),
        ("a,a", "a"),
        ("a == 1", "a=1"),
        ("a in (1)", "a=1"),
        ("a notin (1,1)", "a!=1"),
        ("a in ( 2 ,1, 2)", "a in (1,2)"),
        ("a notin (2,1)", "a notin (1,2)"),
    ] {
        assert_eq!(text.parse::<Selector>().unwrap().to_string(), canonical, "{text:?}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let check = |text: &str, column, expected: &str, got: &str| {
        let error = text.parse::<Selector>().unwrap_err();
        assert_eq!(error.place, Place::Column(column), "{text:?}: {error}");
        assert!(error.expected.contains(expected), "{text:?}: {error}");
        assert_eq!(error.got, got, "{text:?}");
    };
    check("site=", 6, "a value", "the end");
    check("site=ams,", 10, "a key", "the end");
    check(",site", 1, "a key", "`,`");
    check("site=ams ber", 10, "`,` or the end", "`ber`");
    check("site ams", 6, "`=`, `!=`, `in`", "`ams`");
    check("site inside (a)", 6, "`in`", "`inside`");
    check("class in a", 10, "`(`", "`a`");
    check("class in ()", 11, "a value", "`)`");
    check("class in (a", 12, "`,` or `)`", "the end");
    check("class in (a b)", 13, "`,` or `)`", "`b`");
    check("class !x", 7, "`!=`", "`!`");
    check("!", 2, "a key", "the end");
    check("!a=1", 3, "`,` or the end", "`=`");
    check("Site=ams", 1, "1 to 63 of a-z", "`Site`");
    check("site=é", 6, "a value", "`\\u{e9}`");
    check("site=a\nb", 6, "a value", "`a\\nb`");
    check("a>1", 1, "a key", "`a>1`");
    let error = "site=Ams".parse::<Selector>().unwrap_err().to_string();
    assert!(error.starts_with("column 6: expected a value: 1 to 63 of"), "{error}");
}

#[test]
fn sizes_have_limits() {
    let keys = |count| (0..count).map(|i| format!("k{i}")).collect::<Vec<_>>().join(",");
    assert!(keys(LABELS_MAX).parse::<Selector>().is_ok());
    let error = keys(LABELS_MAX + 1).parse::<Selector>().unwrap_err();
    assert!(error.expected.contains("32 requirements") && error.got == "`k32`", "{error}");
    let values = |count| {
        let values: Vec<_> = (0..count).map(|i| format!("v{i}")).collect();
        format!("k in ({})", values.join(","))
    };
    assert!(values(SELECTOR_VALUES_MAX).parse::<Selector>().is_ok());
    let error = values(SELECTOR_VALUES_MAX + 1).parse::<Selector>().unwrap_err();
    assert!(error.got == "`v256`" && error.expected.contains("256 values"), "{error}");
    let wide = " ".repeat(SELECTOR_BYTES_MAX);
    assert_eq!(wide.parse::<Selector>(), Ok(Selector::default()));
    assert!(format!("{wide} ").parse::<Selector>().unwrap_err().got.contains("bytes"));
    let long = "n".repeat(64);
    assert!(long.parse::<Selector>().is_err());
}

#[test]
fn labels_are_a_selector_and_some_selectors_are_labels() {
    let node = labels("site=ams class=b");
    let selector = Selector::of_labels(&node).unwrap();
    assert_eq!(selector.to_string(), "class=b,site=ams");
    assert_eq!(selector.as_labels(), Some(node));
    assert_eq!(Selector::default().as_labels(), Some(BTreeMap::new()));
    for more in ["a", "!a", "a!=1", "a in (1,2)", "a=1,a=2"] {
        assert_eq!(more.parse::<Selector>().unwrap().as_labels(), None, "{more}");
    }
    let trick = BTreeMap::from([("a=1,b".to_owned(), "2".to_owned())]);
    let error = Selector::of_labels(&trick).unwrap_err();
    assert_eq!(error.place, Place::Label("a=1,b=2".to_owned()));
    let many: BTreeMap<_, _> = (0..33).map(|i| (format!("k{i}"), "v".to_owned())).collect();
    assert!(Selector::of_labels(&many).unwrap_err().expected.contains("32"));
}

fn requirement() -> impl Strategy<Value = String> {
    let name = "[a-c0][a-b0._-]{0,2}";
    let set = prop::collection::vec(name, 1..4).prop_map(|values| values.join(" , "));
    prop_oneof![
        name.prop_map(String::from),
        name.prop_map(|key| format!("!{key}")),
        (name, "(=|==|!=)", name).prop_map(|(key, op, value)| format!("{key} {op}{value}")),
        (name, "(in|notin)", set).prop_map(|(key, op, set)| format!("{key} {op}({set})")),
    ]
}

proptest! {
    #[test]
    fn a_selector_is_what_its_text_says(
        requirements in prop::collection::vec(requirement(), 0..6),
        node in prop::collection::btree_map("[a-c0]", "[a-c0]", 0..4),
    ) {
        let selector: Selector = requirements.join(", ").parse().unwrap();
        let again: Selector = selector.to_string().parse().unwrap();
        prop_assert_eq!(&again, &selector);
        prop_assert_eq!(again.to_string(), selector.to_string());
        let each = |text: &String| text.parse::<Selector>().unwrap().matches(&node);
        prop_assert_eq!(selector.matches(&node), requirements.iter().all(each));
    }

    #[test]
    fn any_text_is_a_selector_or_told_where_not(
        text in prop_oneof![any::<String>(), "[a-b=!(), \tinot]{0,40}"],
    ) {
        match text.parse::<Selector>() {
            Ok(selector) => {
                prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
            }
            Err(error) => {
                let Place::Column(column) = error.place else { panic!("{error}") };
                prop_assert!((1..=text.len() + 1).contains(&column) && text.is_char_boundary(column - 1));
                prop_assert!(text[..column - 1].is_ascii());
                prop_assert!(!error.expected.is_empty() && !error.got.is_empty());
            }
        }
    }
}
