/// What a protocol makes of the first bytes that came on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sniff {
    /// They are the beginning of a frame of it.
    Yes,
    /// They are not.
    No,
    /// More of them have to come before it can tell.
    More,
}
