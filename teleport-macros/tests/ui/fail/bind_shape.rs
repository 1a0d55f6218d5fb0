use teleport::Bind;

#[derive(Bind)]
struct Tuple(#[param(nonzero)] i64);

#[derive(Bind)]
struct Unit;

#[derive(Bind)]
enum Choice {
    One,
}

#[derive(Bind)]
struct Borrows<'a> {
    #[param(nonzero)]
    a: &'a str,
}

#[derive(Bind)]
union Either {
    a: u8,
    b: u8,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Tuple>();
    is_bound::<Unit>();
    is_bound::<Choice>();
    is_bound::<Borrows<'static>>();
    is_bound::<Either>();
}
