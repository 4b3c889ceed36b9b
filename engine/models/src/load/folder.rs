//! A model's folder: its configuration and its weight files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::header::{self, TensorEntry};
use super::{names, python_json, wrapped};
use crate::error::LoadError;

/// A `config.json` of more than this is not one.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// Which file each tensor is in, where there are several.
const INDEX: &str = "model.safetensors.index.json";

/// Four times the largest index of a known model.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// Of a dimension of a weight; the largest real ones, vocabularies, are below a million.
const SIZE_MAX: i32 = 1 << 24;

/// A folder whose headers were read and checked.
#[derive(Debug)]
pub(crate) struct Folder {
    /// The configuration.
    pub(crate) config: Config,
    /// Every tensor: its file and its place in there.
    pub(crate) tensors: BTreeMap<String, (PathBuf, TensorEntry)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// `config.json`.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    file: PathBuf,
    /// Of all of the model.
    model_type: Option<String>,
    /// Of the part about text, if it has others.
    json: Value,
    is_wrapped: bool,
    block: [u64; 2],
}

/// How a matrix is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantization {
    pub(crate) mode: QuantizationMode,
    /// Elements that share a scale.
    pub(crate) group_size: i32,
    /// Bits of an element.
    pub(crate) bits: i32,
}

impl Quantization {
    /// Bytes of so many elements, whose scales have so many each, and biases if there are any.
    pub(crate) const fn bytes(self, elements: u64, scale_bytes: u64) -> u64 {
        let each = if self.mode.has_biases() { 2 } else { 1 };
        let groups = elements / self.group_size as u64;
        elements * self.bits as u64 / 8 + groups * scale_bytes * each
    }
}

/// What a quantized element means, in MLX's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuantizationMode {
    /// An integer, times the group's scale, plus the group's bias.
    Affine,
    /// E2M1 floats with E8M0 scales (OCP Microscaling Formats 1.0).
    Mxfp4,
    /// E4M3 floats with E8M0 scales (the same).
    Mxfp8,
    /// E2M1 floats with E4M3 scales.
    Nvfp4,
}

impl QuantizationMode {
    /// Whether each group has a bias beside its scale.
    pub(crate) const fn has_biases(self) -> bool {
        matches!(self, Self::Affine)
    }
}

impl Folder {
    /// Reads the configuration and all headers.
    pub(crate) fn open(folder: &Path) -> Result<Self, LoadError> {
        let config = Config::read(folder)?;
        let mut tensors = BTreeMap::new();
        for file in weight_files(folder)? {
            for (name, entry) in header::read(&header_of(&file))? {
                let name = config.name(name);
                if let Some((other, _)) = tensors.insert(name.clone(), (file.clone(), entry)) {
                    let problem = format!("is in {} and in {}", other.display(), file.display());
                    return Err(LoadError::Tensor {
                        tensor: name,
                        problem,
                    });
                }
            }
        }
        Ok(Self { config, tensors })
    }

    /// The place of a tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<&(PathBuf, TensorEntry), LoadError> {
        self.tensors.get(name).ok_or_else(|| LoadError::Tensor {
            tensor: name.to_string(),
            problem: "is in none of the model's files".into(),
        })
    }
}

/// Where the header of a file is: in a folder that has some of a model's files alone, what stands for one that is not there.
fn header_of(file: &Path) -> PathBuf {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let header = file.with_file_name(base::header_name(name));
    if !file.exists() && header.is_file() {
        return header;
    }
    file.to_path_buf()
}

/// The safetensors files of a folder, sorted by name: those that the index names, or all there are.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let index = folder.join(INDEX);
    if index.is_file() {
        return indexed_files(folder, index);
    }
    let unreadable = |source| LoadError::File {
        file: folder.to_path_buf(),
        source,
    };
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let stands_for = name.to_str().and_then(base::named_by_header);
        let path = folder.join(stands_for.map_or(name.as_os_str(), OsStr::new));
        if path.extension().is_some_and(|end| end == "safetensors") {
            files.insert(path);
        }
    }
    if files.is_empty() {
        return Err(LoadError::Damaged {
            file: folder.to_path_buf(),
            problem: "there is no .safetensors file in it".into(),
        });
    }
    Ok(files.into_iter().collect())
}

/// The files that an index names. Other files in the folder are another form of the same model.
fn indexed_files(folder: &Path, index: PathBuf) -> Result<Vec<PathBuf>, LoadError> {
    let index_json: Index = read_json(&index, INDEX_BYTES_MAX)?;
    let names: BTreeSet<String> = index_json.weight_map.into_values().collect();
    let leads_out = |name: &&String| {
        let mut parts = Path::new(name).components();
        !parts.all(|part| matches!(part, Component::Normal(_)))
    };
    if let Some(name) = names.iter().find(leads_out) {
        return Err(LoadError::Damaged {
            problem: format!("it points outside the folder: {name:?}"),
            file: index,
        });
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// A JSON file of at most so many bytes.
fn read_json<T: DeserializeOwned>(file: &Path, bytes_max: u64) -> Result<T, LoadError> {
    let unreadable = |source| LoadError::File {
        file: file.to_path_buf(),
        source,
    };
    let damaged = |problem| LoadError::Damaged {
        file: file.to_path_buf(),
        problem,
    };
    let bytes = fs::metadata(file).map_err(unreadable)?.len();
    if bytes > bytes_max {
        return Err(damaged(format!(
            "it has {bytes} bytes, more than {bytes_max}"
        )));
    }
    let contents = fs::read_to_string(file).map_err(unreadable)?;
    let contents = python_json::without_infinities(&contents);
    serde_json::from_str(&contents).map_err(|error| damaged(error.to_string()))
}

/// What a configuration says of it; DeepSeek's if nothing.
fn block(said: &Value) -> [u64; 2] {
    let size = |at: usize| said[at].as_u64().filter(|&size| size > 0);
    [0, 1].map(|at| size(at).unwrap_or(128))
}

impl Config {
    fn read(folder: &Path) -> Result<Self, LoadError> {
        let file = folder.join("config.json");
        let whole: Value = read_json(&file, CONFIG_BYTES_MAX)?;
        let model_type = whole["model_type"].as_str().map(str::to_string);
        let block = block(&whole["quantization_config"]["weight_block_size"]);
        let text = wrapped::text_config(&whole);
        let is_wrapped = text.is_some();
        let mut json = text.unwrap_or(whole);
        names::name_quantized(&mut json);
        Ok(Self {
            file,
            model_type,
            json,
            is_wrapped,
            block,
        })
    }

    /// Rows and columns that have one scale together where floats of 8 bits have one for each block.
    pub(crate) const fn block(&self) -> [u64; 2] {
        self.block
    }

    /// The model's `model_type`.
    pub(crate) fn model_type(&self) -> Result<&str, LoadError> {
        let model_type = self.model_type.as_deref();
        model_type.ok_or_else(|| self.problem("has no model_type"))
    }

    /// That of its part about text, which need not say it.
    pub(crate) fn text_type(&self) -> Option<&str> {
        self.json["model_type"].as_str()
    }

    /// What a tensor of the files is called here.
    fn name(&self, name: String) -> String {
        let name = if self.is_wrapped {
            wrapped::text_name(&name)
        } else {
            name
        };
        names::usual(name)
    }

    /// The fields that a family reads; those that are left out are as in `defaults`, an object.
    pub(crate) fn parse<T: DeserializeOwned>(&self, defaults: Value) -> Result<T, LoadError> {
        let mut fields = defaults;
        if let (Some(fields), Some(said)) = (fields.as_object_mut(), self.json.as_object()) {
            fields.extend(said.clone());
        }
        T::deserialize(fields).map_err(|error| self.problem(&error.to_string()))
    }

    /// Refuses sizes that no model has, so that products of two of them fit MLX's `i32`.
    pub(crate) fn check_sizes(&self, sizes: &[(&str, i32)]) -> Result<(), LoadError> {
        match sizes
            .iter()
            .find(|(_, value)| !(1..=SIZE_MAX).contains(value))
        {
            Some((name, value)) => Err(self.problem(&format!("{name} is {value}"))),
            None => Ok(()),
        }
    }

    /// Refuses the first where it is more than the second.
    pub(crate) fn check_at_most(
        &self,
        (name, value): (&str, i32),
        (limit, most): (&str, i32),
    ) -> Result<(), LoadError> {
        if value > most {
            return Err(self.problem(&format!("{name} is more than {limit}")));
        }
        Ok(())
    }

    /// An error about this file.
    pub(crate) fn problem(&self, problem: &str) -> LoadError {
        LoadError::Damaged {
            file: self.file.clone(),
            problem: problem.to_string(),
        }
    }

    /// How the matrix at `path` (`model.layers.0.mlp.up_proj`) is quantized, if at all: its own entry under
    /// `quantization`, or the common one, as mlx-lm reads it.
    pub(crate) fn quantization(&self, path: &str) -> Result<Option<Quantization>, LoadError> {
        let common = &self.json["quantization"];
        let own = &common[path];
        let settings = match own {
            Value::Bool(false) => return Ok(None),
            Value::Object(_) => own,
            _ => common,
        };
        if settings.is_null() {
            return Ok(None);
        }
        let mode = settings["mode"].as_str().unwrap_or("affine");
        let number = |name: &str| {
            let value = settings[name].as_i64();
            value.and_then(|value| i32::try_from(value).ok())
        };
        // The groups and bits of the others are what their formats say.
        let how = match (mode, number("group_size"), number("bits")) {
            ("affine", Some(group_size @ (32 | 64 | 128)), Some(bits @ (2..=6 | 8))) => {
                Some((QuantizationMode::Affine, group_size, bits))
            }
            ("mxfp4", None | Some(32), None | Some(4)) => Some((QuantizationMode::Mxfp4, 32, 4)),
            ("mxfp8", None | Some(32), None | Some(8)) => Some((QuantizationMode::Mxfp8, 32, 8)),
            ("nvfp4", None | Some(16), None | Some(4)) => Some((QuantizationMode::Nvfp4, 16, 4)),
            _ => None,
        };
        let Some((mode, group_size, bits)) = how else {
            return Err(LoadError::Unsupported(format!(
                "quantization {settings} of {path} is not supported (hint: affine with 2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 or 128; mxfp4, mxfp8, nvfp4)"
            )));
        };
        Ok(Some(Quantization {
            mode,
            group_size,
            bits,
        }))
    }
}
