"""What the ledger must have a row for: the two documents, section by section, and what they lack.

Items of document 000 start with A, of document 004 with B; R1 to R22 are the references of 004. C1 to C13 are parts of
the theory that neither has.
"""

from typing import NamedTuple


class Section(NamedTuple):
    """A section of a document: in English, in the document's words, and its items in their order."""

    title: str
    original: str
    items: tuple[str, ...]


def _ids(kind: str, first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{kind}{number}" for number in range(first, last + 1))


CITED = _ids("R", 1, 22)

SECTIONS = {
    "000": (
        Section("Title and introduction", "Introdução", _ids("A", 1, 4)),
        Section(
            "The output: a weighted sum of values",
            "A Saída da Autoatenção: Uma Soma Ponderada de Values",
            _ids("A", 5, 16),
        ),
        Section(
            "Causal modelling and masking",
            "Modelagem Causal e o Mascaramento",
            _ids("A", 17, 34),
        ),
        Section("Causal attention", "Atenção Causal", _ids("A", 35, 57)),
        Section("Conclusion", "Conclusão", _ids("A", 58, 58)),
        Section("References", "Referências", _ids("A", 59, 59)),
    ),
    "004": (
        Section("Title and introduction", "Introdução", _ids("B", 1, 5)),
        Section("Fundamental concepts", "Conceitos Fundamentais", _ids("B", 6, 9)),
        Section(
            "Triangular masking",
            "Técnicas de Mascaramento; Mascaramento Triangular Superior",
            _ids("B", 10, 19),
        ),
        Section("Masking by blocks", "Mascaramento de Bloco", _ids("B", 20, 23)),
        Section("Adaptive masking", "Mascaramento Adaptativo", _ids("B", 24, 29)),
        Section(
            "Effect on the model's performance",
            "Impacto no Desempenho do Modelo",
            _ids("B", 30, 35),
        ),
        Section(
            "Challenges of long sequences",
            "Desafios na Implementação para Sequências Longas",
            _ids("B", 36, 40),
        ),
        Section("Sparse masking", "Mascaramento Esparso", _ids("B", 41, 43)),
        Section(
            "Local attention with a sliding window",
            "Atenção Local com Janela Deslizante",
            _ids("B", 44, 48),
        ),
        Section("Implementation", "Implementação Prática", _ids("B", 49, 51)),
        Section("Conclusion", "Conclusão", _ids("B", 52, 55)),
        Section("Advanced questions", "Questões Avançadas", _ids("B", 56, 58)),
        Section("References", "Referências", (*_ids("B", 59, 59), *CITED)),
    ),
}
LACKING = (*_ids("A", 60, 61), *_ids("B", 60, 60), *_ids("C", 1, 13))

DOCUMENT_OF = {
    item: document
    for document, sections in SECTIONS.items()
    for section in sections
    for item in section.items
} | dict.fromkeys(LACKING)
