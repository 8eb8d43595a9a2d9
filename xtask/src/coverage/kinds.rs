//! Which kind an operation belongs to.

/// A kind (or a command) a line, and below it, indented, the ids of its operations.
const TABLE: &str = include_str!("kinds.txt");

/// The id of each operation and its kind, in the order of the table.
pub(super) fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut kind = "";
    TABLE.lines().filter(|line| !line.starts_with('#')).flat_map(move |line| {
        let of_kind = line.starts_with(' ');
        if !of_kind {
            kind = line;
        }
        let named = kind;
        line.split_whitespace().filter(move |_| of_kind).map(move |id| (id, named))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::operations;

    #[test]
    fn the_table_has_every_operation_of_the_contracts_once_and_no_other() {
        let listed: Vec<&str> = operations().map(|(id, _)| id).collect();
        let known: BTreeSet<&str> = portico_sandbox::operations().iter().map(|operation| operation.id).collect();
        assert_eq!(listed.len(), 148);
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn an_operation_has_the_kind_above_it() {
        let kind = |wanted: &str| operations().find(|(id, _)| *id == wanted).map(|(_, kind)| kind);
        assert_eq!(kind("list-portals"), Some("Portal"));
        assert_eq!(kind("list-portal-roles"), Some("PortalTeam"));
        assert_eq!(kind("exportConfiguration"), Some("portico export"));
        assert_eq!(kind("Portal"), None);
    }
}
