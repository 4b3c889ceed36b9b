//! How the values that may come in several shapes are described.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::scalar::{Count, Number, Prompts, Seed, Strings};
use super::tool::{FunctionChoice, Named as ToolName, NamedChoice, ToolChoiceIn};
use super::{Content, Part};
use crate::openapi::shape::{self, Named};

impl PartialSchema for Count {
    fn schema() -> RefOr<Schema> {
        shape::integer(0)
    }
}

impl ToSchema for Count {}

impl PartialSchema for Number {
    fn schema() -> RefOr<Schema> {
        shape::number()
    }
}

impl ToSchema for Number {}

impl PartialSchema for Seed {
    fn schema() -> RefOr<Schema> {
        shape::integer(i64::MIN)
    }
}

impl ToSchema for Seed {}

impl PartialSchema for Strings {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::list(shape::text())];
        shape::any_of("A string, or a list of them.", shapes)
    }
}

impl ToSchema for Strings {}

impl PartialSchema for Prompts {
    fn schema() -> RefOr<Schema> {
        let tokens = || shape::list(shape::of::<Count>());
        shape::any_of(
            "A text, several, the ids of tokens, or several lists of them.",
            [
                shape::text(),
                shape::list(shape::text()),
                tokens(),
                shape::list(tokens()),
            ],
        )
    }
}

impl ToSchema for Prompts {
    fn name() -> Cow<'static, str> {
        "openai.Prompts".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<Count>(schemas);
    }
}

impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::list(shape::of::<Part>())];
        shape::any_of("A text, or parts.", shapes)
    }
}

impl ToSchema for Content {
    fn name() -> Cow<'static, str> {
        "openai.Content".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<Part>(schemas);
    }
}

impl PartialSchema for ToolChoiceIn {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::of::<NamedChoice>()];
        shape::any_of("`auto`, `none`, `required`, or which tool.", shapes)
    }
}

impl ToSchema for ToolChoiceIn {
    fn name() -> Cow<'static, str> {
        "openai.ToolChoice".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<NamedChoice>(schemas);
    }
}

impl PartialSchema for FunctionChoice {
    fn schema() -> RefOr<Schema> {
        let shapes = [shape::text(), shape::of::<ToolName>()];
        shape::any_of("`auto`, `none`, or which function.", shapes)
    }
}

impl ToSchema for FunctionChoice {
    fn name() -> Cow<'static, str> {
        "openai.FunctionChoice".into()
    }

    fn schemas(schemas: &mut Named) {
        shape::collect::<ToolName>(schemas);
    }
}
