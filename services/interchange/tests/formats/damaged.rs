//! Files that are cut, changed or invented: an error that says where, or a model; never a panic.

use federation::Artifact;
use interchange::{Files, Format, Place, export, import};
use proptest::prelude::*;

use crate::models;

/// Files small enough to damage everywhere.
fn small() -> Artifact {
    let registers = "SPI_NUM_INP_NEUR 1\nSPI_NUM_REC_NEUR 2\nSPI_NUM_OUT_NEUR 0\nSPI_DO_EPROP 0\n";
    models::network(&format!("{registers}\npair,alpha12,thr\n0,1,2\n1,3,4\n"), 2)
}

fn bytes(format: Format) -> Vec<u8> {
    match export(&small(), format).unwrap() {
        Files::One(bytes) => bytes,
        Files::Directory(_) => unreachable!("not asked for"),
    }
}

const SINGLE: [Format; 4] = [Format::Muster, Format::Spi, Format::Npz, Format::Safetensors];

#[test]
fn every_cut_is_refused() {
    for format in SINGLE {
        let whole = bytes(format);
        // The words are complete before the last line's comment.
        let end = if format == Format::Spi {
            whole.len() - "  # SPI_EN_CONF = 0\n".len()
        } else {
            whole.len()
        };
        for len in 0..end {
            let error = import(&Files::One(whole[..len].to_vec()), format).unwrap_err();
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn places_are_named() {
    let error = |format, bytes: Vec<u8>| import(&Files::One(bytes), format).unwrap_err();
    let npz = bytes(Format::Npz);
    assert_eq!(error(Format::Npz, npz[..100].to_vec()).place(), &Place::Byte(100));
    // A weight of w_inp: the data follow a local header of 30 bytes, a name of 9, an array header of 128.
    let mut changed = npz.clone();
    changed[30 + 9 + 128] ^= 1;
    let text = error(Format::Npz, changed).to_string();
    assert!(text.starts_with("byte 39: expected data of the size and checksum"), "{text}");

    let safetensors = bytes(Format::Safetensors);
    let cut = error(Format::Safetensors, safetensors[..safetensors.len() - 1].to_vec());
    assert_eq!(cut.place(), &Place::Key("w_out".to_owned()));
    let header = String::from_utf8_lossy(&safetensors[8..]).replace("\"learner\"", "\"teacher\"");
    let renamed = [&safetensors[..8], header.as_bytes()].concat();
    assert_eq!(
        error(Format::Safetensors, renamed).to_string(),
        "`__metadata__.learner`: this metadata text is missing"
    );
    let long = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    assert_eq!(error(Format::Safetensors, long).code(), "import_too_large");

    let Files::Directory(files) = export(&small(), Format::Dat).unwrap() else { unreachable!() };
    let dat = |name: &str, text: &str| {
        let mut files = files.clone();
        files.insert(name.to_owned(), text.into());
        import(&Files::Directory(files), Format::Dat).unwrap_err().to_string()
    };
    assert_eq!(dat("weights_out.dat", "1\n2\n"), "weights_out.dat: 1 of 3 weights is missing");
    assert_eq!(
        dat("weights_out.dat", "1\n2\n\n128\n"),
        "weights_out.dat line 4: expected a weight from -128 to 127, got `128`"
    );
    assert!(
        dat("weights_out.dat", "1 2 3\n4").starts_with("weights_out.dat line 2: expected the end")
    );
    assert!(dat("model.txt", "range w_inp 0 1\nrange").starts_with("model.txt line 2: expected"));
    assert!(
        dat("config.txt", "SPI_KAPPA 256\n\npair,alpha12,thr\n").contains("SPI_KAPPA: value 256")
    );
    let mut files = files.clone();
    files.remove("weights_rec.dat");
    let missing = import(&Files::Directory(files), Format::Dat).unwrap_err();
    assert_eq!(missing.to_string(), "weights_rec.dat: it is missing");
}

#[test]
fn nothing_larger_than_a_model_is_unpacked() {
    let entry = |size: u32| {
        let mut npz = bytes(Format::Npz);
        // The directory's first record: its field of the unpacked size.
        let at = npz.windows(4).position(|mark| mark == b"PK\x01\x02").unwrap() + 24;
        npz[at..at + 4].copy_from_slice(&size.to_le_bytes());
        import(&Files::One(npz), Format::Npz).unwrap_err().code()
    };
    assert_eq!(entry(u32::MAX), "import_too_large");
    assert_eq!(entry(1 << 20), "import_malformed");
    let long = Files::One(vec![0; interchange::limits::FILE_BYTES_MAX + 1]);
    assert_eq!(import(&long, Format::Spi).unwrap_err().code(), "import_too_large");
}

#[test]
fn what_a_format_cannot_do_is_said() {
    let nir = bytes(Format::Nir);
    let error = import(&Files::One(nir), Format::Nir).unwrap_err();
    assert_eq!(error.code(), "import_unsupported");
    let twice = Files::One(bytes(Format::Muster));
    assert_eq!(import(&twice, Format::Dat).unwrap_err().to_string(), "expected a directory");
    let above = models::network(
        "SPI_DO_EPROP 0\nSPI_NUM_REC_NEUR 3\nSPI_ALPHA_CONF_W0 2\n\npair,alpha12,thr\n1,16,0",
        0,
    );
    let error = export(&above, Format::Nir).unwrap_err();
    assert_eq!(error.code(), "neuron_not_expressible");
    assert!(
        error.to_string().starts_with("neuron pair 1: its leak factor is 1.00048828125"),
        "{error}"
    );
    let foreign =
        Artifact::new("other/1", above.layout().clone(), vec![], above.weights().to_vec());
    for format in [Format::Spi, Format::Dat, Format::Nir] {
        assert_eq!(
            export(foreign.as_ref().unwrap(), format).unwrap_err().code(),
            "learner_unsupported"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        for format in SINGLE {
            let mut bytes = bytes(format);
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let _ = import(&Files::One(bytes), format);
        }
        let Files::Directory(mut files) = export(&small(), Format::Dat).unwrap() else { unreachable!() };
        for (number, (at, value)) in changes.iter().enumerate() {
            let file = files.values_mut().nth(number % 5).unwrap();
            let at = at.index(file.len());
            file[at] = *value;
        }
        let _ = import(&Files::Directory(files), Format::Dat);
    }

    #[test]
    fn changed_structure_never_panics(
        from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), len in 1_usize..64,
    ) {
        // A piece of the file in another place: well-formed records that contradict each other.
        for format in SINGLE {
            let mut bytes = bytes(format);
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let piece = bytes[from..(from + len).min(bytes.len())].to_vec();
            bytes.splice(to..(to + len).min(bytes.len()), piece);
            let _ = import(&Files::One(bytes), format);
        }
    }
}
