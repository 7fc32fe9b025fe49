"""Settings of the documentation's site, which `make docs` builds from these pages and the code's docstrings."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from _site import docstrings, pages  # noqa: E402

import did_tf  # noqa: E402
from did_tf.programs import quiet  # noqa: E402, F401

project = "did_tf"
version = release = did_tf.__version__
html_title = f"{project} {release}"
html_theme = "furo"
html_static_path = ["_site/static"]
html_css_files = ["tables.css"]
html_show_copyright = html_show_sphinx = False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_site"]
myst_heading_anchors = 4  # links to headings, as on GitHub

autodoc_default_options = {"members": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
smartquotes = False
maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # without links from each to whatever else has its name


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda _: pages.write())
    app.connect("source-read", lambda _, name, source: pages.change(name, source))
    # A named tuple's fields stand in its docstring.
    app.connect(
        "autodoc-skip-member", lambda *args: True if str(args[3].__doc__).startswith("Alias for field") else None
    )
    # Before napoleon, which reads the sections.
    app.connect("autodoc-process-docstring", lambda *args: docstrings.to_rst(args[-1]), priority=400)
