//! What strangers write, against all that reads it. Nothing may panic, hang or take memory without bound; beside that
//! each target holds what it reads to what must be true of it.
//!
//! `make fuzz` lets libFuzzer look for inputs, `make test` reads the seeds and those that once did harm: `seeds/`, a
//! folder for each target.

mod attachment;
mod command;
mod delivery;
mod settings;
mod text;

/// Something that reads what others wrote.
#[derive(Debug)]
pub struct Target {
    /// Also of its folder of seeds.
    pub name: &'static str,
    /// Reads an input, and panics if something is wrong.
    pub run: fn(&[u8]),
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::new("attachment", attachment::inspected),
        Self::new("challenge", delivery::challenge),
        Self::new("command", command::read),
        Self::new("delivery", delivery::normalized),
        Self::new("settings", settings::loaded),
        Self::new("text", text::read),
        Self::new("threads", settings::threads),
    ];

    const fn new(name: &'static str, run: fn(&[u8])) -> Self {
        Self { name, run }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        const { &Self::ALL }
            .iter()
            .find(|target| target.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_seed_is_read_by_its_target() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        for target in &Target::ALL {
            let files: Vec<_> = fs::read_dir(seeds.join(target.name)).unwrap().collect();
            assert!(!files.is_empty(), "{target:?} has no seeds");
            for file in files {
                let path = file.unwrap().path();
                println!("{}", path.display());
                (target.run)(&fs::read(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_folder_of_seeds_has_a_target() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        for folder in fs::read_dir(seeds).unwrap() {
            let name = folder.unwrap().file_name();
            assert!(Target::named(name.to_str().unwrap()).is_some(), "{name:?}");
        }
    }
}
