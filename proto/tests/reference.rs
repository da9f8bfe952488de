//! docs/reference/grpc.md: the contract as tables, from its descriptors and their comments. `BLESS=1` writes them anew.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    ServiceDescriptorProto,
};

const PROTO: &str = "muster/fleet/v1/fleet.proto";

/// Numbers of fields in `FileDescriptorProto` and below, of which the path of a comment consists.
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const SERVICES: i32 = 6;
const MEMBERS: i32 = 2;

/// A file and the comments before its parts.
struct Contract {
    file: FileDescriptorProto,
    comments: BTreeMap<Vec<i32>, String>,
}

impl Contract {
    fn read() -> Self {
        let room = Path::new(env!("CARGO_MANIFEST_DIR"));
        let descriptors = protox::compile([PROTO], [room]).unwrap();
        let file = descriptors.file.into_iter().find(|file| file.name() == PROTO).unwrap();
        let locations = file.source_code_info.clone().unwrap().location;
        let comment = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let comments = locations
            .into_iter()
            .filter_map(|place| Some((place.path, comment(place.leading_comments.as_deref()?))));
        let comments = comments.collect();
        Self { file, comments }
    }

    /// What stands before a part.
    fn about(&self, path: &[usize]) -> &str {
        let path: Vec<i32> = path.iter().map(|&step| i32::try_from(step).unwrap()).collect();
        self.comments.get(&path).unwrap_or_else(|| panic!("{path:?} is not explained"))
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        let [messages, enums, services] =
            [MESSAGES, ENUMS, SERVICES].map(|number| usize::try_from(number).unwrap());
        for (index, service) in self.file.service.iter().enumerate() {
            self.service(service, &[services, index], &mut text);
        }
        text.push_str("\n## Messages\n");
        for (index, message) in self.file.message_type.iter().enumerate() {
            self.message(message, &[messages, index], &mut text);
        }
        for (index, choice) in self.file.enum_type.iter().enumerate() {
            self.choice(choice, &[enums, index], &mut text);
        }
        text
    }

    fn service(&self, service: &ServiceDescriptorProto, path: &[usize], text: &mut String) {
        writeln!(text, "## {}.{}\n\n{}\n", self.file.package(), service.name(), self.about(path))
            .unwrap();
        text.push_str("| call | sends | gets | what it does |\n|---|---|---|---|\n");
        for (index, call) in service.method.iter().enumerate() {
            let linked = |stream, kind: &str| {
                format!("{}{}", if stream { "a stream of " } else { "" }, link(kind))
            };
            let sends = linked(call.client_streaming(), call.input_type());
            let gets = linked(call.server_streaming(), call.output_type());
            let about = cell(self.about(&below(path, index)));
            writeln!(text, "| `{}` | {sends} | {gets} | {about} |", call.name()).unwrap();
        }
    }

    fn message(&self, message: &DescriptorProto, path: &[usize], text: &mut String) {
        writeln!(text, "\n### {}\n\n{}", message.name(), self.about(path)).unwrap();
        if message.field.is_empty() {
            return;
        }
        text.push_str("\n| field | type | number | meaning |\n|---|---|---|---|\n");
        for (index, field) in message.field.iter().enumerate() {
            let about = cell(self.about(&below(path, index)));
            let kind = self.kind(message, field);
            writeln!(text, "| `{}` | {kind} | {} | {about} |", field.name(), field.number())
                .unwrap();
        }
    }

    /// A field's type, and how often it is there.
    fn kind(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
        let kind = match field.r#type() {
            Type::Message | Type::Enum => link(field.type_name()),
            other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
        };
        if field.label() == Label::Repeated {
            return format!("{kind}, any number");
        }
        if field.proto3_optional() {
            return format!("{kind}, or nothing");
        }
        match field.oneof_index {
            Some(index) => {
                let name = message.oneof_decl[usize::try_from(index).unwrap()].name();
                format!("{kind}, one of `{name}`")
            }
            None => kind,
        }
    }

    fn choice(&self, choice: &EnumDescriptorProto, path: &[usize], text: &mut String) {
        writeln!(text, "\n### {}\n\n{}\n", choice.name(), self.about(path)).unwrap();
        text.push_str("| value | number | meaning |\n|---|---|---|\n");
        for (index, value) in choice.value.iter().enumerate() {
            let about = cell(self.about(&below(path, index)));
            writeln!(text, "| `{}` | {} | {about} |", value.name(), value.number()).unwrap();
        }
    }
}

/// The path of a member.
fn below(path: &[usize], index: usize) -> Vec<usize> {
    [path, &[usize::try_from(MEMBERS).unwrap(), index]].concat()
}

/// A type of this file, linked to where it is told.
fn link(kind: &str) -> String {
    let name = kind.rsplit('.').next().unwrap_or(kind);
    format!("[{name}](#{})", name.to_lowercase())
}

fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}

#[test]
fn the_page_tells_every_call_and_field() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/grpc.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let begin = "<!-- the rest is written by a test -->\n\n";
    let (before, there) = page.split_once(begin).unwrap();
    let tables = Contract::read().tables();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{before}{begin}{tables}")).unwrap();
    } else {
        assert_eq!(there, tables, "BLESS=1 writes it anew");
    }
}
