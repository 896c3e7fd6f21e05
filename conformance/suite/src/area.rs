//! The areas of the specification.

/// A part of the specification whose requirements share the letters in their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The letters, such as `HB` of `PW-HB-014`.
    pub letters: &'static str,
    /// The name, such as `heartbeat`.
    pub name: &'static str,
}

impl Area {
    /// Every area, in the order of the specification.
    pub const ALL: &[Self] = &[
        Self { letters: "HDR", name: "header" },
        Self { letters: "KEY", name: "sync-key" },
        Self { letters: "FRM", name: "framing" },
        Self { letters: "DAT", name: "messages" },
        Self { letters: "REJ", name: "rejecting" },
        Self { letters: "HS", name: "handshake" },
        Self { letters: "HB", name: "heartbeat" },
        Self { letters: "CLS", name: "closing" },
        Self { letters: "TIM", name: "clocks" },
        Self { letters: "VER", name: "versions" },
        Self { letters: "CK", name: "connection-ids" },
        Self { letters: "TCP", name: "tcp" },
    ];

    /// The number of the section of the specification in which its first requirement stands, such as `8`.
    #[must_use]
    pub fn section(&self) -> &'static str {
        let first = pulsewire_spec::requirements().iter().find(|requirement| self.holds(requirement.id));
        let heading = first.map_or("", |requirement| requirement.section);
        heading.split(['.', ' ']).next().unwrap_or_default()
    }

    /// Whether the requirement, or the case, with this id belongs to it.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        id.split('-').nth(1) == Some(self.letters)
    }
}

#[cfg(test)]
mod tests {
    use super::Area;

    #[test]
    fn every_requirement_lies_in_one_area() {
        for requirement in pulsewire_spec::requirements() {
            let count = Area::ALL.iter().filter(|area| area.holds(requirement.id)).count();
            assert_eq!(count, 1, "{}", requirement.id);
        }
    }
}
