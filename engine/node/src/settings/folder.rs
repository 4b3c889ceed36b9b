//! A folder of models among the settings: in the file a path alone, as it always was, unless downloads may go there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use store::{Place, PlaceKind};

/// A folder where models are looked for besides the data folder's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct ModelFolder {
    /// Its whole path.
    pub path: PathBuf,
    /// Whether downloads may go there and models there may be deleted; nothing is changed there otherwise.
    pub writable: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Path(PathBuf),
    Folder { path: PathBuf, writable: bool },
}

impl From<Written> for ModelFolder {
    fn from(written: Written) -> Self {
        match written {
            Written::Path(path) => Self {
                path,
                writable: false,
            },
            Written::Folder { path, writable } => Self { path, writable },
        }
    }
}

impl From<ModelFolder> for Written {
    fn from(ModelFolder { path, writable }: ModelFolder) -> Self {
        if writable {
            Self::Folder { path, writable }
        } else {
            Self::Path(path)
        }
    }
}

impl From<&ModelFolder> for Place {
    fn from(folder: &ModelFolder) -> Self {
        Self {
            path: folder.path.clone(),
            kind: if folder.writable {
                PlaceKind::Writable
            } else {
                PlaceKind::ReadOnly
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SomeSettings;

    #[test]
    fn a_file_of_an_earlier_version_names_folders_by_their_paths() {
        let read = |text: &str| toml::from_str::<SomeSettings>(text).unwrap();
        let folder = |path: &str, writable| ModelFolder {
            path: path.into(),
            writable,
        };
        let old = read(r#"model_folders = ["/a", "/b"]"#);
        let [a, b] = ["/a", "/b"].map(|path| folder(path, false));
        assert_eq!(old.model_folders, Some(vec![a.clone(), b]));
        let some = SomeSettings {
            model_folders: Some(vec![a, folder("/c", true)]),
            welcomed: Some(true),
            ..SomeSettings::default()
        };
        let text = toml::to_string(&some).unwrap();
        assert_eq!(read(&text), some, "{text}");
    }
}
