"""Writers: result -> JSON, Markdown, HTML, terminal."""
