//! Lists that change, as Python's do: some templates keep one in a namespace, to remember the ids of calls until their
//! results come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value, functions};

/// Jinja's `namespace`, whose lists can change.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a function")]
pub fn namespace(defaults: Kwargs) -> Result<Value, Error> {
    let mut fields = Vec::new();
    for name in defaults.args() {
        let value: Value = defaults.get(name)?;
        let value = match value.kind() {
            ValueKind::Seq => Value::from_object(List(Mutex::new(value.try_iter()?.collect()))),
            _ => value,
        };
        fields.push((name, value));
    }
    let defaults: Value = fields.into_iter().collect::<Kwargs>().into();
    functions::namespace(Some(defaults.into()))
}

#[derive(Debug)]
struct List(Mutex<Vec<Value>>);

impl List {
    fn values(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values().clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "append" => {
                let (value,): (Value,) = from_args(args)?;
                // A list that is in itself would have no end.
                if value.as_object().is_some() {
                    let reason = "only plain values can be appended to a list";
                    return Err(Error::new(ErrorKind::InvalidOperation, reason));
                }
                self.values().push(value);
                Ok(Value::from(()))
            }
            "pop" => {
                let (at,): (Option<usize>,) = from_args(args)?;
                let mut values = self.values();
                let at = at.unwrap_or(values.len().saturating_sub(1));
                if at >= values.len() {
                    return Err(Error::new(
                        ErrorKind::InvalidOperation,
                        "pop from an empty list",
                    ));
                }
                Ok(values.remove(at))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
