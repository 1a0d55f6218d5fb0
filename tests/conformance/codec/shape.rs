//! Go types by their names.

use std::collections::HashMap;

use serde_json::Value as Json;
use teleport_tests::vectors::text;

/// What a Go type is to serde.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A nil of no type: `()`.
    Nil,
    /// Whatever the body says.
    Any,
    Bool,
    Int(u32),
    Uint(u32),
    Float(u32),
    Text,
    Bytes,
    /// Text that is JSON already.
    RawJson,
    /// `Option`.
    Pointer(Box<Self>),
    List(Box<Self>),
    Array(usize, Box<Self>),
    /// The shapes of key and value.
    Map(Box<Self>, Box<Self>),
    Struct(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// The key in the body.
    pub(super) name: &'static str,
    /// The key in the value of the row.
    pub(super) value_name: String,
    /// The struct in the value of the row that the field stands in, where a form has it inlined.
    pub(super) value_parent: Option<String>,
    pub(super) omit_empty: bool,
    pub(super) shape: Shape,
}

impl Shape {
    /// A struct that has fields of struct types, which a form cannot hold.
    pub(super) fn has_inner_struct(&self) -> bool {
        let inner = |field: &Field| matches!(field.shape, Self::Struct(_));
        matches!(self, Self::Struct(fields) if fields.iter().any(inner))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_) | Self::Array(..) | Self::Bytes)
    }

    /// Some types cannot be read: two fields of one key, and raw JSON as escaped.
    pub(super) fn is_written_only(&self) -> bool {
        match self {
            Self::RawJson => true,
            Self::Struct(fields) => fields
                .iter()
                .enumerate()
                .any(|(at, field)| fields[..at].iter().any(|other| other.name == field.name)),
            _ => false,
        }
    }
}

/// The struct types that the rows describe.
pub(super) struct Shapes {
    structs: HashMap<String, Json>,
    form: bool,
}

impl Shapes {
    pub(super) fn new(rows: &[Json], form: bool) -> Self {
        let mut structs: HashMap<_, _> = rows
            .iter()
            .filter(|row| row["go_fields"].is_array())
            .map(|row| {
                let name = text(&row["go_type"]).trim_start_matches('*').to_owned();
                (name, row["go_fields"].clone())
            })
            .collect();
        // An embedded type that no row describes; its one field shows in the bodies.
        structs
            .entry("Pub".to_owned())
            .or_insert_with(|| serde_json::json!([{ "name": "Q", "type": "string", "form": "q" }]));
        Self { structs, form }
    }

    /// The shape of what is in the body: of the type, or of what a pointer to it points to.
    pub(super) fn of(&self, go_type: &str, fields: &Json) -> Result<Shape, String> {
        let target = go_type.strip_prefix('*').unwrap_or(go_type);
        if fields.is_array() {
            return self.fields(fields);
        }
        self.parse(target)
    }

    fn parse(&self, go_type: &str) -> Result<Shape, String> {
        if let Some(inner) = go_type.strip_prefix('*') {
            return Ok(Shape::Pointer(Box::new(self.parse(inner)?)));
        }
        if let Some(inner) = go_type.strip_prefix("[]") {
            return Ok(match inner {
                "uint8" | "byte" => Shape::Bytes,
                _ => Shape::List(Box::new(self.parse(inner)?)),
            });
        }
        if let Some((len, inner)) = go_type
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            let len = len.parse().map_err(|_| format!("no length: {go_type}"))?;
            return Ok(Shape::Array(len, Box::new(self.parse(inner)?)));
        }
        if let Some((key, value)) = go_type
            .strip_prefix("map[")
            .and_then(|rest| rest.split_once(']'))
        {
            let (key, value) = (self.parse(key)?, self.parse(value)?);
            return Ok(Shape::Map(Box::new(key), Box::new(value)));
        }
        Ok(match go_type {
            "nil" => Shape::Nil,
            "interface {}" | "any" => Shape::Any,
            "bool" => Shape::Bool,
            "int8" => Shape::Int(8),
            "int16" => Shape::Int(16),
            "int32" | "rune" => Shape::Int(32),
            "int" | "int64" => Shape::Int(64),
            "uint8" | "byte" => Shape::Uint(8),
            "uint16" => Shape::Uint(16),
            "uint32" => Shape::Uint(32),
            "uint" | "uint64" => Shape::Uint(64),
            "float32" => Shape::Float(32),
            "float64" => Shape::Float(64),
            "string" | "myStr" => Shape::Text,
            "json.RawMessage" => Shape::RawJson,
            "url.Values" => self.parse("map[string][]string")?,
            "struct {}" => Shape::Struct(Vec::new()),
            other => match self.structs.get(other) {
                Some(fields) => self.fields(fields)?,
                None => return Err(format!("the rows do not describe the Go type {other}")),
            },
        })
    }

    fn fields(&self, fields: &Json) -> Result<Shape, String> {
        let mut all = Vec::new();
        for field in fields.as_array().ok_or("go_fields is no list")? {
            let name = text(&field["name"]);
            let tag = field["json"].as_str().unwrap_or(name);
            let (json_name, options) = tag.split_once(',').unwrap_or((tag, ""));
            let value_name = if json_name.is_empty() {
                name
            } else {
                json_name
            };
            let shape = self.parse(text(&field["type"]))?;
            let embedded = field["embedded"] == true;
            if let Shape::Struct(inner) = &shape
                && (embedded || (self.form && field["form"].is_null()))
            {
                all.extend(inner.iter().cloned().map(|mut field| {
                    if !embedded {
                        field.value_parent = Some(value_name.to_owned());
                    }
                    field
                }));
                continue;
            }
            let body_name = if self.form {
                field["form"].as_str().unwrap_or(name)
            } else {
                value_name
            };
            all.push(Field {
                name: Box::leak(body_name.to_owned().into_boxed_str()),
                value_name: value_name.to_owned(),
                value_parent: None,
                omit_empty: options.contains("omitempty"),
                shape,
            });
        }
        Ok(Shape::Struct(all))
    }
}
