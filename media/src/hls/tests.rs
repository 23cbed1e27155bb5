//! Tests of the playlists.
