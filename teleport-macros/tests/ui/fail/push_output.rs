use teleport::{Rerror, push_handler};

struct Push;

#[push_handler]
impl Push {
    async fn a(&self) -> i64 {
        1
    }

    async fn b(&self) -> Result<String, Rerror> {
        Ok(String::new())
    }

    async fn c(&self) -> Option<()> {
        None
    }

    async fn right(&self) -> Result<(), Rerror> {
        Ok(())
    }
}

fn registers<T: teleport::__private::PushController>() {}

fn main() {
    registers::<Push>();
}
