//! How a node that is called introduces itself before anything is proven: by the names that discovery shows to the
//! whole network too. Of fixed size, so that a stranger sends nothing that has to be parsed. Pure.

use crate::limits::NAME_BYTES_MAX;
use crate::name;

/// Length of a greeting.
pub(crate) const GREETING_BYTES: usize = 2 * FIELD_BYTES;

/// A name: its length, then as many bytes, then nothing.
const FIELD_BYTES: usize = 1 + NAME_BYTES_MAX;

/// Who was reached, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) name: String,
    pub(crate) cluster_name: String,
}

impl Greeting {
    pub(crate) fn to_bytes(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        let (first, second) = bytes.split_at_mut(FIELD_BYTES);
        write(first, &self.name);
        write(second, &self.cluster_name);
        bytes
    }

    /// Whatever the bytes are, two clean names come of them.
    pub(crate) fn from_bytes(bytes: &[u8; GREETING_BYTES]) -> Self {
        let (first, second) = bytes.split_at(FIELD_BYTES);
        Self {
            name: read(first),
            cluster_name: read(second),
        }
    }
}

fn write(field: &mut [u8], text: &str) {
    let text = name::clean(text);
    field[0] = text.len() as u8;
    field[1..=text.len()].copy_from_slice(text.as_bytes());
}

fn read(field: &[u8]) -> String {
    let length = usize::from(field[0]).min(NAME_BYTES_MAX);
    name::clean(&String::from_utf8_lossy(&field[1..=length]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_arrive() {
        let greeting = Greeting {
            name: "Study".into(),
            cluster_name: "Bäume".into(),
        };
        assert_eq!(Greeting::from_bytes(&greeting.to_bytes()), greeting);
        let long = Greeting {
            name: "é".repeat(100),
            cluster_name: String::new(),
        };
        assert_eq!(
            Greeting::from_bytes(&long.to_bytes()).name,
            "é".repeat(NAME_BYTES_MAX / 2)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_make_two_short_names(bytes in prop::array::uniform32(any::<[u8; 5]>())) {
            let mut greeting = [0; GREETING_BYTES];
            for (byte, noise) in greeting.iter_mut().zip(bytes.as_flattened()) {
                *byte = *noise;
            }
            let read = Greeting::from_bytes(&greeting);
            prop_assert!(read.name.len() <= NAME_BYTES_MAX && read.cluster_name.len() <= NAME_BYTES_MAX);
        }
    }
}
