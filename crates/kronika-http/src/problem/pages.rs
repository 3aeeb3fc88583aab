//! The page behind a problem's type: what it means and what to do. It shows nothing of any request.

use super::{Problem, ProblemKind};
use axum::{
    extract::{Path, rejection::PathRejection},
    http::header::CACHE_CONTROL,
    response::{Html, IntoResponse, Response},
};

/// `GET /problems/{name}`
pub(crate) async fn page(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let kind = name
        .ok()
        .and_then(|Path(name)| ProblemKind::by_name(&name))
        .ok_or_else(|| Problem::not_found("there is no problem of that name"))?;
    let advice = kind.advice().split('`').enumerate().fold(String::new(), |page, (index, part)| {
        page + if index == 0 { "" } else { ["</code>", "<code>"][index % 2] } + part
    });
    let (name, title) = (kind.name(), kind.title());
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{name}</title>\n\
         <h1>{name}: {title}</h1>\n<p>{advice}</p>\n</html>\n"
    );
    Ok(([(CACHE_CONTROL, "max-age=3600")], Html(page)).into_response())
}
