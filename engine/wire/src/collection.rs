//! Lists and texts with a length that their type bounds, checked before their elements are read and before they are sent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Elements made room for before they are there; beyond it a list grows as they come.
const ROOM_ELEMENTS_MAX: usize = 64;

/// At most `MAX` elements.
#[derive(Debug, Clone, PartialEq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The list of what the elements of `source` become.
    pub fn of<'a, S: 'a>(source: impl IntoIterator<Item = &'a S>) -> Self
    where
        T: From<&'a S>,
    {
        Self(source.into_iter().map(T::from).collect())
    }

    /// What the elements become, if all of them become something.
    pub fn each<B, E>(self) -> Result<Vec<B>, E>
    where
        B: TryFrom<T, Error = E>,
    {
        self.0.into_iter().map(B::try_from).collect()
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() > MAX {
            return Err(S::Error::custom("a list is too long"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let claimed = seq.size_hint().unwrap_or(0);
                if claimed > MAX {
                    return Err(A::Error::invalid_length(claimed, &self));
                }
                let mut elements = Vec::with_capacity(claimed.min(ROOM_ELEMENTS_MAX));
                while let Some(element) = seq.next_element()? {
                    if elements.len() == MAX {
                        return Err(A::Error::invalid_length(MAX + 1, &self));
                    }
                    elements.push(element);
                }
                Ok(List(elements))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// At most `MAX` bytes of UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> Text<MAX> {
    /// All of `text`; sending it fails if it is too long.
    pub fn whole(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As much of `text` as may be sent: for words that people read, where the beginning is better than nothing.
    pub fn cut(text: &str) -> Self {
        let end = (0..=MAX.min(text.len()))
            .rev()
            .find(|&end| text.is_char_boundary(end))
            .unwrap_or(0);
        Self(text[..end].to_owned())
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() > MAX {
            return Err(S::Error::custom("a text is too long"));
        }
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<const MAX: usize>;

        impl<const MAX: usize> Visitor<'_> for TextVisitor<MAX> {
            type Value = Text<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} bytes of text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.len() > MAX {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(Text(text.to_owned()))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_refused_by_its_claim() {
        let three = postcard::to_allocvec(&[1_u32, 2, 3].to_vec()).unwrap();
        assert!(postcard::from_bytes::<List<u32, 3>>(&three).is_ok());
        assert!(postcard::from_bytes::<List<u32, 2>>(&three).is_err());
        assert!(postcard::to_allocvec(&List::<u32, 2>(vec![1, 2, 3])).is_err());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(Text::<4>::cut("péar").0, "péa");
        assert_eq!(Text::<2>::cut("péar").0, "p");
        assert_eq!(Text::<9>::cut("péar").0, "péar");
        assert!(postcard::to_allocvec(&Text::<2>::whole("pear")).is_err());
    }
}
