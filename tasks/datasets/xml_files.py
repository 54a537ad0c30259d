"""Reading of XML files that may hold anything."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from tasks.errors import DataError, read_data, require


def xml_root(path: Path, tag: str, form: str, advice: str) -> ET.Element:
    """The root of an XML file.

    Args:
        path: of the file.
        tag: of the root.
        form: what the file is, for messages: "a VOC annotation".
        advice: what to do with a file that is not.

    Raises:
        DataError: the file is missing, no XML, or has another root.
    """
    content = read_data(path, form)
    try:
        root = ET.fromstring(content)  # noqa: S314 - expat expands nothing external
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        fault = f"{path} is not {form} ({error})"
        raise DataError(fault, advice) from None
    require(root.tag == tag, f"{path} is not {form}: its root is {root.tag!r:.60}", advice)
    return root
