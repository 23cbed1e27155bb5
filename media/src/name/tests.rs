//! Tests of names and URLs.
