//! The instruction sets that the tests run on.

use std::io::Write;

use reckon::Isa;

/// The one named in `RECKON_ISA`, or else all of them; those that this processor lacks are reported
/// and left out.
pub(crate) fn isas() -> Vec<Isa> {
    let mut isas = match std::env::var_os("RECKON_ISA") {
        None => Isa::ALL.to_vec(),
        Some(name) => {
            let name = name.to_string_lossy().into_owned();
            vec![Isa::named(&name).unwrap_or_else(|| panic!("RECKON_ISA: no path `{name}`"))]
        }
    };
    isas.retain(|isa| {
        if !isa.is_available() {
            // Not `eprintln`, which a passing test swallows.
            let line = format!("SKIPPED {isa}: this processor lacks it\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
        isa.is_available()
    });
    isas
}
