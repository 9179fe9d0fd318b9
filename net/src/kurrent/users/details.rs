//! Details: what there is to know of one user, or of all.

use super::super::proto::users::details_resp::UserDetails;
use super::super::proto::users::{DetailsResp, NameReq};
use super::{check_manager, groups, is_own, not_found};
use crate::access::User;
use crate::grpc::{CallContext, Handler, Method, Status};
use bytes::Bytes;
use prost::Message;

pub static METHOD: Method = Method {
    path: "/event_store.client.users.Users/Details",
    features: &[],
    is_open: false,
    begin: || Box::new(Details),
};

struct Details;

impl Handler for Details {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = NameReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let name = request.options.unwrap_or_default().login_name;
        if !is_own(context, &name) {
            check_manager(context)?;
        }
        let (users, _) = context.server.users.table();
        if name.trim().is_empty() {
            users.iter().for_each(|user| send(context, user));
        } else {
            let user = users.get(name.as_bytes()).ok_or_else(|| not_found(&name))?;
            send(context, user);
        }
        context.finish();
        Ok(())
    }
}

fn send(context: &mut CallContext<'_>, user: &User) {
    let user_details = Some(UserDetails {
        login_name: String::from_utf8_lossy(user.name()).into_owned(),
        full_name: user.about().full_name.clone(),
        groups: groups::of(user),
        // When it was changed is kept nowhere.
        last_updated: None,
        disabled: !user.is_on(),
    });
    context.send(|out| DetailsResp { user_details }.encode_raw(out));
}
