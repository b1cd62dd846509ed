//! JSON objects read as if they had what goes without saying. What a caller does say is read as it stands, so that
//! slips are found where they are.

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;

/// Fields, and what they are when nobody says it.
pub(super) type Unsaid = Vec<(&'static str, Value)>;

/// Reads an object, and after it those of `unsaid` that it does not have.
pub(super) struct Completed<D> {
    pub(super) said: D,
    pub(super) unsaid: Unsaid,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Completed<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let unsaid = self.unsaid;
        self.said.deserialize_map(Object { visitor, unsaid })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Object<V> {
    visitor: V,
    unsaid: Unsaid,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, said: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Fields {
            said,
            unsaid: self.unsaid,
            value: None,
        })
    }
}

struct Fields<A> {
    said: A,
    unsaid: Unsaid,
    /// Of the field that was read last, when it is an unsaid one.
    value: Option<Value>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if let Some(key) = self.said.next_key::<String>()? {
            self.unsaid.retain(|(field, _)| *field != key);
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
        let Some((field, value)) = self.unsaid.pop() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(field.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.said.next_value_seed(seed),
        }
    }
}
