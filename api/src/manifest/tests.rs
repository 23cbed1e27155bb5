//! Tests of manifest loading.
