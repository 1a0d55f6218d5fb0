use teleport::controller;

struct Users;

#[controller]
impl Users {
    async fn get_one(&self) {}

    #[route("/users/get/one")]
    async fn first(&self) {}

    #[route(name = "get_One")]
    async fn second(&self) {}
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Users>();
}
