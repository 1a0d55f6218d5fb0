use teleport::Bind;

const LOW: i64 = 1;
const HIGH: i64 = 100;

#[derive(Bind)]
struct Reversed {
    #[param(range(HIGH..=LOW))]
    a: i64,
}

#[derive(Bind)]
struct Nothing {
    #[param(range(LOW..LOW))]
    a: i64,
}

#[derive(Bind)]
struct Beyond {
    #[param(range(HIGH * 3..))]
    a: Option<u8>,
}

#[derive(Bind)]
struct Below {
    #[param(range(..=-HIGH))]
    a: u8,
}

#[derive(Bind)]
struct NotANumber {
    #[param(range(f64::NAN..))]
    a: f64,
}

#[derive(Bind)]
struct Lengths {
    #[param(len(Self::LONG..=3))]
    a: String,
}

impl Lengths {
    const LONG: usize = 4;
}

#[derive(Bind)]
struct Shorter {
    #[param(len(..usize::MIN))]
    a: String,
}

fn is_bound<T: teleport::Bind>() {}

fn main() {
    is_bound::<Reversed>();
    is_bound::<Nothing>();
    is_bound::<Beyond>();
    is_bound::<Below>();
    is_bound::<NotANumber>();
    is_bound::<Lengths>();
    is_bound::<Shorter>();
}
