"""The commands of ``medseg``, by what they are about; :mod:`medseg.cli` puts them together."""
