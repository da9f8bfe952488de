//! Server-sent events, taken apart as they come.

/// Most bytes of an event; a coordinator sends none that is longer.
const EVENT_BYTES_MAX: usize = 1_048_576;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number, where it has one.
    pub(crate) id: Option<String>,
    /// What it is called.
    pub(crate) name: String,
    /// What it says.
    pub(crate) data: String,
}

/// What has come and is not an event yet.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    bytes: Vec<u8>,
    event: Event,
    begun: bool,
}

/// An event is longer than any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// The events that end with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.bytes.push(*byte);
                if self.bytes.len() + self.event.data.len() > EVENT_BYTES_MAX {
                    return Err(TooLong);
                }
                continue;
            }
            let line = std::mem::take(&mut self.bytes);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
            if !line.is_empty() {
                self.line(&line);
            } else if std::mem::take(&mut self.begun) {
                events.push(std::mem::take(&mut self.event));
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data += value;
            }
            // A comment, as a heartbeat is, or what we have no use for.
            _ => return,
        }
        self.begun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": hello\n\nid: 7\nevent: run.created\ndata: {\"a\":\ndata: 1}\n\nretry: 2000\r\n\r\ndata:x\r\n\r\n:\n\nid: 8\n";

    fn expected() -> Vec<Event> {
        let event = |id: Option<&str>, name: &str, data: &str| Event {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data: data.to_owned(),
        };
        vec![event(Some("7"), "run.created", "{\"a\":\n1}"), event(None, "", "x")]
    }

    #[test]
    fn events_are_the_same_however_the_bytes_come() {
        for size in [1, 2, 3, 7, 1_000] {
            let mut parser = Parser::default();
            let parts = TEXT.as_bytes().chunks(size);
            let events: Vec<_> = parts.flat_map(|part| parser.push(part).unwrap()).collect();
            assert_eq!(events, expected(), "{size}");
            assert_eq!(parser.push(b"\n").unwrap()[0].id.as_deref(), Some("8"));
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_for_ever() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&[b'x'; EVENT_BYTES_MAX]), Ok(vec![]));
        assert_eq!(parser.push(b"x"), Err(TooLong));
    }
}
