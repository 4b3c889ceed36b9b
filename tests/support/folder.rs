//! Where the checkout's files are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// A file or folder, named from that of the tests.
pub fn of_tests(path: &str) -> PathBuf {
    Path::new(env!("ESPALIER_CHECKOUT"))
        .join("tests")
        .join(path)
}

/// The model that comes with the program.
pub fn sprout() -> PathBuf {
    of_tests("../engine/store/sprout")
}

/// A model in a folder of models that is as small as Sprout: the same weights under another name, and told apart from it,
/// and from those of names with another length, by its files.
pub fn make_sprig(models: &Path, name: &str) -> Result<()> {
    let sprig = models.join(name);
    fs::create_dir_all(&sprig)?;
    for file in fs::read_dir(sprout())? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), sprig.join(file.file_name()))?;
        }
    }
    let config = fs::read_to_string(sprig.join("config.json"))?;
    fs::write(sprig.join("config.json"), config + &"\n".repeat(name.len()))?;
    Ok(())
}
