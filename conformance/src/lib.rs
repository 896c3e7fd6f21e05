//! What the conformance tool and its tests share: the subjects of this workspace, and those that are named from outside.
#![forbid(unsafe_code)]

pub mod capture;
pub mod named;
pub mod subjects;
