//! Where an Avro datum ends: what files of data without lengths are cut by.

use flow_ir::decode_plan::AvroSkip;

use super::Bad;
use super::avro::skip;
use super::input::Input;

/// Passes over data of one schema.
#[derive(Debug)]
pub struct DatumSkip {
    steps: Vec<AvroSkip>,
    recursive: Vec<Vec<AvroSkip>>,
}

impl DatumSkip {
    /// By these steps; `recursive` are the bodies of recursive records.
    pub fn new(steps: Vec<AvroSkip>, recursive: Vec<Vec<AvroSkip>>) -> Self {
        Self { steps, recursive }
    }

    /// How many bytes the datum at the beginning of these bytes has.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn length(&self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut input = Input::new(bytes);
        skip(&self.steps, &mut input, &self.recursive, 0).map_err(Bad::message)?;
        Ok(bytes.len() - input.rest().len())
    }
}
