//! What the conformance tool and its tests share: the subjects of this workspace.
#![forbid(unsafe_code)]

pub mod subjects;
