//! Three-valued logic (Kleene): what is not known stays not known, and only what decides an
//! answer whatever the unknown turns out to be gives one.

/// Ordered so that AND is the smaller and OR the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    False,
    Unknown,
    True,
}

impl From<bool> for Truth {
    fn from(sure: bool) -> Self {
        if sure { Self::True } else { Self::False }
    }
}

impl From<Option<bool>> for Truth {
    fn from(known: Option<bool>) -> Self {
        known.map_or(Self::Unknown, Self::from)
    }
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl Truth {
    pub(crate) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// Whether some element makes it true; of a list with gaps, a gap might.
    pub(crate) fn any(elements: impl IntoIterator<Item = Self>, complete: bool) -> Self {
        let mut found = if complete { Self::False } else { Self::Unknown };
        for element in elements {
            found = found.or(element);
            if found == Self::True {
                break;
            }
        }
        found
    }

    /// Whether every element makes it true; of a list with gaps, a gap might not.
    pub(crate) fn all(elements: impl IntoIterator<Item = Self>, complete: bool) -> Self {
        !Self::any(elements.into_iter().map(|element| !element), complete)
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, False, True, Unknown};

    #[test]
    fn tables_of_kleene() {
        for (a, b, and, or) in [
            (True, Unknown, Unknown, True),
            (False, Unknown, False, Unknown),
            (Unknown, Unknown, Unknown, Unknown),
            (True, False, False, True),
        ] {
            assert_eq!((a.and(b), b.and(a), a.or(b), b.or(a)), (and, and, or, or));
            assert_eq!(!a.and(b), (!a).or(!b));
        }
    }

    #[test]
    fn gaps_in_a_list_only_leave_doubt() {
        assert_eq!(Truth::any([False, True], false), True);
        assert_eq!(Truth::any([False], false), Unknown);
        assert_eq!(Truth::any([], true), False);
        assert_eq!(Truth::all([True], false), Unknown);
        assert_eq!(Truth::all([True, False], false), False);
        assert_eq!(Truth::all([], true), True);
    }
}
