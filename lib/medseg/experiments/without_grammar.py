"""Imported before papermill or nbformat: jsonschema then builds no grammar of web addresses.

Where rfc3987-syntax is installed, as JupyterLab wants it, importing jsonschema compiles its grammar: a second or two of
every process, for a check that no notebook is put to. To jsonschema it is as if the package were not there.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
