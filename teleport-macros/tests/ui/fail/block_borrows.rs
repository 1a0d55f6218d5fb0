use teleport::controller;

struct Math<'a>(&'a str);

#[controller]
impl<'a> Math<'a> {
    async fn add(&self) {}
}

struct Other<'a>(&'a str);

#[controller]
impl Other<'_> {
    async fn add(&self) {}
}

fn main() {}
