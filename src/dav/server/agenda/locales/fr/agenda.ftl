# Textes de la page de l’agenda en français.

names-of = fr_FR
direction = ltr

## Dates et heures

date-pattern = { $day ->
    [1] %A 1er %B %Y
   *[other] %A %-d %B %Y
}
time-pattern = %H:%M
month-pattern = %B %Y
weekday-pattern = %a
first-day-pattern = { $day ->
    [1] 1er %B
   *[other] %-d %B
}
first-day-of-month-pattern = { $day ->
    [1] 1er
   *[other] %-d
}
first-day-of-year-pattern = { $day ->
    [1] 1er %B %Y
   *[other] %-d %B %Y
}
last-day-pattern = { $day ->
    [1] 1er %B %Y
   *[other] %-d %B %Y
}
day-pattern = { $day ->
    [1] %a 1er %b
   *[other] %a %-d %b
}
from-to = { $first } – { $last }
date-time = { $date }, { $time }
all-day = Toute la journée
until-time = jusqu’à { $time }
day-of-days = Jour { $day } sur { $days }

## Autour de l’agenda

page-title = { $heading } · { $name }
skip = Aller au contenu
calendars = Calendriers
all-calendars = Tous les calendriers
default-calendar = Agenda principal
address-books = Carnets d’adresses
views = Vues
view-month = Mois
view-week = Semaine
view-list = Liste
steps = Une autre période
earlier = Avant
later = Après
today = Aujourd’hui
date = Date
time-zone = Fuseau horaire
show = Afficher
week-number = Semaine { $number }
more-events = { $count ->
    [one] { $count } autre
   *[other] { $count } autres
}
nothing = Rien n’est prévu pendant cette période.
truncated = Cette page montre { $count } événements et omet les autres. Une période plus courte les montre tous.
times-in = Les heures sont celles du fuseau horaire { $zone }.

## Événements

no-title = (sans titre)
busy = Occupé
mark-repeats = se répète
mark-private = privé
mark-cancelled = annulé
mark-tentative = provisoire
mark-task = tâche
mark-done = faite
mark-continued = suite
row-when = Quand
row-calendar = Calendrier
row-location = Lieu
row-video = Visioconférence
row-link = Lien
row-organizer = Organisateur
row-guests = Invités
row-description = Description
row-categories = Catégories
row-attachments = Pièces jointes
guest-optional = facultatif
answer-accepted = accepté
answer-declined = refusé
answer-tentative = peut-être
answer-delegated = délégué
answer-pending = sans réponse
guests-more = { $count ->
    [one] et { $count } autre
   *[other] et { $count } autres
}

## Adresses pour les programmes

addresses = Dans vos propres programmes
addresses-login = Chaque programme demande le nom d’utilisateur et le mot de passe avec lequel vous vous êtes connecté ici. Le nom d’utilisateur est :
server = Adresse du serveur
this-calendar = Adresse de ce calendrier
thunderbird = Thunderbird
thunderbird-hint = Nouvel agenda, Sur le réseau ; saisissez le nom d’utilisateur et, comme emplacement :
apple = iPhone, iPad et Mac
apple-hint = Réglages, Comptes de calendrier, Ajouter un compte, Autre, Compte CalDAV ; saisissez comme serveur :
davx5 = Android avec DAVx⁵
davx5-hint = Ajouter un compte, Connexion avec une URL et un nom d’utilisateur ; ou scannez le code avec l’appareil photo. L’URL de base est :
evolution = Evolution et GNOME
evolution-hint = Nouveau calendrier de type CalDAV ; saisissez comme URL :
file = En fichier (iCalendar)
file-hint = Les programmes qui ne font que lire peuvent s’abonner à cette adresse ; ouverte ici, elle enregistre le calendrier :
code-davx5 = Code qui ouvre DAVx⁵ avec ce compte
code-page = Code avec l’adresse de cette page
code-davx5-hint = Ouvre DAVx⁵ sur un téléphone Android
code-page-hint = Ouvre cette page sur un téléphone

## Carnets d’adresses

truncated-cards = Cette page montre { $count } fiches et omet les autres.
column-name = Nom
column-email = Courriel
column-phone = Téléphone
no-cards = Il n’y a personne dans ce carnet d’adresses.
no-name = (sans nom)
