"""Trained networks behind HTTP: requests and answers, limits, the page. Over the package's extra `serve`."""
