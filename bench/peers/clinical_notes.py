"""Writes notes in a clinical style from a seed: templates filled with real diagnoses and drugs."""

import csv
import random

SENTENCES = [
    "{He} is a {age} y.o. {sex} with h/o {dx}, {dx} and {dx} who p/w {symptom} x{n}d.",
    "Pt. denies {symptom}, {symptom} or {symptom}; reports {symptom} since {date}.",
    "{He} was started on {drug} {dose} and {drug} {dose}, then changed to {drug}.",
    "Labs: WBC {lab} Hgb {lab} Plt {big} Na {big} K {lab} Cr {lab} BUN {n}, lactate {lab}.",
    "VS: T {temp}, HR {n}, BP {big}/{n}, RR {n}, O2 sat {n}% on {n}L NC.",
    "CXR showed {finding}; ECG without ST-T changes. TTE: EF {n}%, {finding}.",
    "Underwent {proc} on {date} without complications.",
    "Dr. {name} ({phone}) will follow up in {n} weeks; the patient's family wasn't available.",
    "{He} couldn't tolerate {drug} due to {symptom}; it's been held since {date} {time}.",
    "Assessment/Plan: {dx} -- continue {drug} {dose}, monitor {symptom}, r/o {dx}.",
    "Code status: FULL. Allergies: {drug} (rash), NKDA otherwise.",
    "Discharged to home with services in stable condition, afebrile, ambulating, pain {n}/10.",
    "MICRO: {date} BLOOD CULTURE -- {finding} (Final {date}).",
]
HEADINGS = ["Chief Complaint:", "HISTORY OF PRESENT ILLNESS:", "Past Medical History:",
            "Brief Hospital Course:", "MEDICATIONS ON ADMISSION:", "Discharge Diagnosis:",
            "PHYSICAL EXAM:", "Pertinent Results:", "Social History:", "Followup Instructions:"]
SYMPTOMS = """chest pain;dyspnea on exertion;SOB;n/v/d;abd. pain;fevers/chills;diaphoresis;syncope;
melena;hematemesis;palpitations;orthopnea;PND;LE edema;dysuria;headache;altered mental status;
productive cough;weight loss;fatigue;hypotension;tachycardia;lightheadedness;pruritus;rigors"""
FINDINGS = """small b/l pleural effusions;RLL consolidation;no acute process;mild cardiomegaly;
moderate MR;grade II diastolic dysfunction;NO GROWTH;STAPHYLOCOCCUS, COAGULASE NEGATIVE;
ESCHERICHIA COLI >100,000 ORGANISMS/ML;atelectasis vs. aspiration;interval improvement;
severe aortic stenosis (valve area 0.8cm2);T-wave inversions in V2–V4;2.3 × 1.9 cm nodule"""
FAMILIES = """Smith Johnson Nguyen García Müller O'Brien Kowalski Patel Kim Rossi Andersson Haddad
Okafor Silva Tanaka Novák Dubois Chen Ivanov Yılmaz Fitzgerald MacDonald Østergaard Castañeda"""


def column(path, name):
    with open(path, newline="", encoding="utf-8") as file:
        return sorted({row[name] for row in csv.DictReader(file) if row[name]})


def listed(text):
    return [item.strip() for item in text.replace("\n", "").split(";")]


class Writer:
    def __init__(self, tables, seed):
        self.rng = random.Random(seed)
        self.words = {
            "dx": column(tables / "D_ICD_DIAGNOSES.csv", "long_title")
                  + column(tables / "D_ICD_DIAGNOSES.csv", "short_title"),
            "proc": column(tables / "D_ICD_PROCEDURES.csv", "long_title"),
            "drug": column(tables / "PRESCRIPTIONS.csv", "drug"),
            "dose": [f"{strength} {how}"
                     for strength in column(tables / "PRESCRIPTIONS.csv", "prod_strength")
                     for how in ("PO DAILY", "PO BID", "IV Q8H", "PO QHS:PRN", "SC TID")],
            "symptom": listed(SYMPTOMS), "finding": listed(FINDINGS), "name": FAMILIES.split(),
            "He": ["He", "She", "Pt", "The patient"], "sex": ["M", "F", "man", "woman", "female"],
        }

    def value(self, slot):
        rng = self.rng
        made = {
            "age": lambda: rng.randint(18, 99), "n": lambda: rng.randint(1, 99),
            "big": lambda: rng.randint(90, 450), "lab": lambda: f"{rng.uniform(0.3, 18):.1f}",
            "temp": lambda: f"{rng.uniform(35.5, 40):.1f}°C",
            "date": lambda: (f"[**21{rng.randint(10, 99)}-{rng.randint(1, 12)}-"
                             f"{rng.randint(1, 28)}**]"),
            "time": lambda: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
            "phone": lambda: f"({rng.randint(200, 999)}) 555-{rng.randint(0, 9999):04}",
        }
        return str(made[slot]()) if slot in made else rng.choice(self.words[slot])

    def misspelled(self, sentence):
        """Returns the sentence with two neighbouring letters swapped."""
        at = self.rng.randrange(len(sentence) - 1)
        return sentence[:at] + sentence[at + 1] + sentence[at] + sentence[at + 2:]

    def sentence(self):
        out = []
        for part in self.rng.choice(SENTENCES).split("{"):
            slot, brace, rest = part.partition("}")
            out.append(self.value(slot) + rest if brace else part)
        text = "".join(out)
        return self.misspelled(text) if self.rng.random() < 0.15 else text

    def note(self):
        """Returns a note of 2 to 4 kB."""
        length = self.rng.randint(2000, 4000)
        text = f"Admission Date: {self.value('date')}     Discharge Date: {self.value('date')}\n\n"
        while len(text) < length:
            text += self.rng.choice(HEADINGS) + "\n"
            for _ in range(self.rng.randint(2, 6)):
                text += self.sentence() + self.rng.choice([" ", " ", "  ", "\n"])
            if self.rng.random() < 0.4:
                text += "\n" + "".join(f"{i}. {self.value('drug')} {self.value('dose')}\n"
                                       for i in range(1, self.rng.randint(3, 9)))
            text += "\n"
        return text


def clinical_notes(tables, size, seed):
    """Returns at least `size` bytes of notes, with words from MIMIC-III's CSV files in `tables`."""
    writer, notes, total = Writer(tables, seed), [], 0
    while total < size:
        notes.append(writer.note())
        total += len(notes[-1].encode())
    return notes
