//! The record: every figure by section, case, metric and peer, in `benches/values.csv`.
//!
//! Tables are for reading; the goals and the charts are drawn from the record. A run with `--record` replaces the rows
//! that it has measured and keeps all others, so that sections can be measured one at a time. `benches/vma.csv` has the
//! same form: it holds what one run of another program found out about VMA, and is never written here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Section, case, metric, peer.
type Key = [String; 4];

static NOTED: Mutex<BTreeMap<Key, f64>> = Mutex::new(BTreeMap::new());

/// Where a figure belongs: section, case, metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a>(pub(crate) &'a str, pub(crate) &'a str, pub(crate) &'a str);

/// Keeps a figure; one that could not be measured takes an older one out of the record.
pub(crate) fn note(place: Place<'_>, peer: &str, value: f64) {
    let key = [place.0, place.1, place.2, peer].map(str::to_owned);
    NOTED.lock().expect("nobody panics under this lock").insert(key, value);
}

/// Keeps several figures of one case and peer.
pub(crate) fn note_all(section: &str, case: &str, peer: &str, figures: &[(&str, f64)]) {
    for (metric, value) in figures {
        note(Place(section, case, metric), peer, *value);
    }
}

/// Writes what was kept into the record.
pub(crate) fn save() {
    let noted = NOTED.lock().expect("nobody panics under this lock");
    let mut all = read("values.csv");
    all.extend(noted.iter().map(|(key, value)| (key.clone(), *value)));
    all.retain(|_, value| value.is_finite());
    let lines = all.iter().map(|([section, case, metric, peer], value)| {
        let value = if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.4}") };
        format!("{section},{case},{metric},\"{peer}\",{value}\n")
    });
    let text: String = core::iter::once("section,case,metric,peer,value\n".to_owned()).chain(lines).collect();
    std::fs::write(file("values.csv"), text).expect("the folder of the benches can be written");
}

/// The record and what is known about VMA.
#[derive(Debug)]
pub(crate) struct Values(BTreeMap<Key, f64>);

impl Values {
    pub(crate) fn load() -> Self {
        let mut all = read("values.csv");
        all.extend(read("vma.csv"));
        Self(all)
    }

    /// Returns a figure; `None` where it was not measured.
    pub(crate) fn get(&self, place: Place<'_>, peer: &str) -> Option<f64> {
        let key = [place.0, place.1, place.2, peer].map(str::to_owned);
        self.0.get(&key).copied()
    }
}

fn read(name: &str) -> BTreeMap<Key, f64> {
    let text = std::fs::read_to_string(file(name)).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// Reads a row; the peer's name, in quotes, may contain commas.
fn parse(line: &str) -> Option<(Key, f64)> {
    let (start, rest) = line.split_once('"')?;
    let (peer, value) = rest.split_once('"')?;
    let mut fields = start.trim_end_matches(',').split(',').map(str::to_owned);
    let key = [fields.next()?, fields.next()?, fields.next()?, peer.to_owned()];
    Some((key, value.trim_start_matches(',').parse().ok()?))
}

/// Returns the path of a file in the folder of the benches.
pub(crate) fn file(name: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name)
}
