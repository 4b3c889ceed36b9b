//! Schemas of what serde reads by hand and no derive can see: values that may come in several shapes.

use std::borrow::Cow;
use std::marker::PhantomData;

use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Schemas by their names, as utoipa collects them.
pub(crate) type Named = Vec<(String, RefOr<Schema>)>;

/// A string.
pub(crate) fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// A list.
pub(crate) fn list(of: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(of).into()
}

/// A whole number, not below `minimum`.
pub(crate) fn integer(minimum: i64) -> RefOr<Schema> {
    let integer = ObjectBuilder::new().schema_type(Type::Integer);
    integer.minimum(Some(minimum)).into()
}

/// Any number.
pub(crate) fn number() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Number).into()
}

/// One of these shapes.
pub(crate) fn any_of<const N: usize>(what: &str, shapes: [RefOr<Schema>; N]) -> RefOr<Schema> {
    let any = AnyOfBuilder::new().description(Some(what));
    let any = shapes.into_iter().fold(any, AnyOfBuilder::item);
    any.into()
}

/// The shape that another schema has.
pub(crate) fn of<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// Collects a schema that [`of`] names, and those within it.
pub(crate) fn collect<T: ToSchema>(schemas: &mut Named) {
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    T::schemas(schemas);
}

/// A server-sent event that carries a `T` as JSON.
pub(crate) struct Event<T>(PhantomData<T>);

/// The same, or the last one of a stream of `OpenAI`'s, which carries `[DONE]`.
pub(crate) struct EventOrDone<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for Event<T> {
    fn schema() -> RefOr<Schema> {
        event(json_of::<T>())
    }
}

impl<T: ToSchema> ToSchema for Event<T> {
    fn name() -> Cow<'static, str> {
        format!("{}.Sent", T::name()).into()
    }

    fn schemas(schemas: &mut Named) {
        collect::<T>(schemas);
    }
}

impl<T: ToSchema> PartialSchema for EventOrDone<T> {
    fn schema() -> RefOr<Schema> {
        let done = ObjectBuilder::new().schema_type(Type::String);
        let done = done.enum_values(Some(["[DONE]"])).into();
        event(any_of("More of it, or the end.", [json_of::<T>(), done]))
    }
}

impl<T: ToSchema> ToSchema for EventOrDone<T> {
    fn name() -> Cow<'static, str> {
        Event::<T>::name()
    }

    fn schemas(schemas: &mut Named) {
        collect::<T>(schemas);
    }
}

/// An event as a value, in the way in which `OpenAPI` 3.2 has it and tools for 3.1 read it.
fn event(data: RefOr<Schema>) -> RefOr<Schema> {
    let event = ObjectBuilder::new().property("event", text());
    event.property("data", data).required("data").into()
}

fn json_of<T: ToSchema>() -> RefOr<Schema> {
    let json = ObjectBuilder::new().schema_type(Type::String);
    let json = json.content_media_type("application/json");
    json.content_schema(Some(of::<T>())).into()
}
