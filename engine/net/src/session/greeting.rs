//! How a node that is called introduces itself before anything is proven: by what discovery shows to the whole network
//! too. Of fixed size, so that a stranger sends nothing that has to be parsed. Pure.

use crate::home::{HOME_BYTES, Home};
use crate::limits::NAME_BYTES_MAX;
use crate::name;

/// Length of a greeting.
pub(crate) const GREETING_BYTES: usize = 2 * FIELD_BYTES + HOME_BYTES;

/// A name: its length, then as many bytes, then nothing.
pub(crate) const FIELD_BYTES: usize = 1 + NAME_BYTES_MAX;

/// Who was reached, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) name: String,
    pub(crate) cluster_name: String,
    /// What it says it belongs to.
    pub(crate) home: Home,
}

impl Greeting {
    pub(crate) fn to_bytes(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        let (first, rest) = bytes.split_at_mut(FIELD_BYTES);
        let (second, home) = rest.split_at_mut(FIELD_BYTES);
        write_name(first, &self.name);
        write_name(second, &self.cluster_name);
        home.copy_from_slice(&self.home.to_bytes());
        bytes
    }

    /// Whatever the bytes are, two clean names and a home come of them.
    pub(crate) fn from_bytes(bytes: &[u8; GREETING_BYTES]) -> Self {
        let (first, rest) = bytes.split_at(FIELD_BYTES);
        let (second, home) = rest.split_at(FIELD_BYTES);
        let home = home.try_into().expect("the rest is a home");
        Self {
            name: read_name(first),
            cluster_name: read_name(second),
            home: Home::from_bytes(home),
        }
    }
}

/// Writes a name into a field of [`FIELD_BYTES`].
pub(crate) fn write_name(field: &mut [u8], text: &str) {
    let text = name::clean(text);
    field[0] = text.len() as u8;
    field[1..=text.len()].copy_from_slice(text.as_bytes());
}

/// Reads a name from a field of [`FIELD_BYTES`], whatever its bytes are.
pub(crate) fn read_name(field: &[u8]) -> String {
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
            home: Home::Key,
        };
        assert_eq!(Greeting::from_bytes(&greeting.to_bytes()), greeting);
        let long = Greeting {
            name: "é".repeat(100),
            cluster_name: String::new(),
            home: Home::None,
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
