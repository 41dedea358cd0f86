# Textes des courriels en français.

names-of = fr_FR

## Dates et heures

date-pattern = { $day ->
    [1] %A 1er %B %Y
   *[other] %A %-d %B %Y
}
time-pattern = %H:%M

when-same-day = { $date }, { $start } – { $end }
when-days-apart = { $start-date }, { $start } – { $end-date }, { $end }
when-no-end = { $date }, { $start }
when-all-day = { $date } (toute la journée)
when-all-days = { $start-date } – { $end-date } (journées entières)
when-zone = { $when } ({ $zone })

## Répétition

every-day = { $interval ->
    [one] Tous les jours
   *[other] Tous les { $interval } jours
}
every-week = { $interval ->
    [one] Toutes les semaines
   *[other] Toutes les { $interval } semaines
}
every-month = { $interval ->
    [one] Tous les mois
   *[other] Tous les { $interval } mois
}
every-year = { $interval ->
    [one] Tous les ans
   *[other] Tous les { $interval } ans
}
on-days = { $rule }, le { $days }
list-last = { $first } et { $last }
until-count = { $count ->
    [one] { $rule }, une fois
   *[other] { $rule }, { $count } fois
}
until-date = { $rule }, jusqu’au { $date }
repeats-somehow = Cet événement se répète
one-occurrence = Il s’agit d’une seule occurrence d’un événement récurrent

## Lignes d’un événement

row-title = Titre
row-when = Quand
row-repeats = Répétition
row-location = Lieu
row-video = Visioconférence
row-guests = Participants
row-resources = Ressources
row-description = Description
row-comment = Commentaire
no-title = (sans titre)
map = Voir sur une carte
organizer-mark = organisateur
optional-mark = facultatif
answer-accepted = accepté
answer-declined = décliné
answer-tentative = peut-être
answer-delegated = délégué
guests-more = { $count ->
    [one] et une autre personne
   *[other] et { $count } autres personnes
}
labelled = { $label } :
before = Avant
now = Maintenant
added = ajouté
removed = supprimé

## Liens

see-in-calendar = Voir dans l’agenda
question = Serez-vous présent ?
yes = Oui
maybe = Peut-être
no = Non
forward-warning = Si vous transférez ce message, son destinataire pourra répondre en votre nom.

## event-invite

invite-subject = { $organizer } vous invite : { $summary }
invite-title = { $organizer } vous invite

## event-update

update-subject = Modifié par { $organizer } : { $summary }
update-title = { $organizer } a modifié un événement

# Ce qu’aucune ligne ne montre.
note-revived = L’événement aura finalement lieu.
note-confirmed = L’événement est maintenant confirmé.
note-tentative = L’événement est maintenant provisoire.
note-called-off = L’événement est maintenant annulé.
note-repetition = La répétition de l’événement a changé.

## event-cancel

cancel-subject = Annulé par { $organizer } : { $summary }
cancel-title = { $organizer } a annulé un événement

## event-reply

reply-subject-accepted = Accepté : { $summary } ({ $name })
reply-subject-declined = Décliné : { $summary } ({ $name })
reply-subject-tentative = Peut-être : { $summary } ({ $name })
reply-subject-delegated = Délégué : { $summary } ({ $name })
reply-subject-pending = Sans réponse : { $summary } ({ $name })
reply-title-accepted = { $name } participera
reply-title-declined = { $name } ne participera pas
reply-title-tentative = { $name } participera peut-être
reply-title-delegated = { $name } envoie quelqu’un d’autre
reply-title-pending = { $name } a retiré sa réponse
